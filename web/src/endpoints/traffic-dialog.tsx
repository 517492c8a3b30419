/** Sets an endpoint's traffic by hand, or makes a new endpoint. */
import { Plus, X } from 'lucide-react'
import { useState } from 'react'
import type { Endpoint } from '../api/types'
import { useReleases } from '../models/model-queries'
import { Button } from '../ui/button'
import { FormDialog } from '../ui/dialog'
import { NumberField, SelectField, TextField } from '../ui/field'
import { useToast } from '../ui/toast'
import { useSetTraffic } from './endpoint-queries'

interface Row {
  release: string
  weight: number | null
}

export function TrafficDialog({ endpoint, onClose }: { endpoint: Endpoint | null; onClose: () => void }) {
  const set = useSetTraffic()
  const toast = useToast()
  const releases = useReleases()
  const [name, setName] = useState(endpoint?.name ?? '')
  const [rows, setRows] = useState<Row[]>(
    endpoint?.traffic.map((t) => ({ release: t.release_id, weight: t.weight })) ?? [{ release: '', weight: 100 }],
  )
  const choices = releases.data?.items.map((r) => ({ value: r.id, label: r.name })) ?? []
  const first = choices[0]?.value ?? ''
  const total = rows.reduce((sum, row) => sum + (row.weight ?? 0), 0)
  const change = (at: number, part: Partial<Row>) => setRows((all) => all.map((row, i) => (i === at ? { ...row, ...part } : row)))

  return (
    <FormDialog
      title={endpoint ? `Traffic of ${endpoint.name}` : 'New endpoint'}
      description={
        endpoint
          ? 'The new split is used for the next request. The present one stays in the history, and a roll back returns to it.'
          : 'Applications use its name as the model.'
      }
      submit={endpoint ? 'Set the traffic' : 'Create the endpoint'}
      busy={set.isPending}
      error={set.error}
      disabled={!name.trim() || total !== 100 || choices.length === 0}
      onClose={onClose}
      onSubmit={() =>
        set.mutate(
          {
            name: name.trim(),
            traffic: rows
              .filter((row) => (row.weight ?? 0) > 0)
              .map((row) => ({ release_id: row.release || first, weight: row.weight ?? 0 })),
          },
          {
            onSuccess: () => {
              toast(`Traffic of ${name} set`)
              onClose()
            },
          },
        )
      }
    >
      {!endpoint && <TextField label="Name" value={name} onChange={(e) => setName(e.target.value)} placeholder="telco-desk" required />}
      {choices.length === 0 && <p className="text-sm text-ink-2">There is no release yet. Create one under Models & releases first.</p>}
      <fieldset className="flex flex-col gap-3">
        <legend className="mb-2 text-sm font-semibold">Traffic</legend>
        {rows.map((row, i) => (
          <div key={i} className="grid grid-cols-[minmax(0,1fr)_6rem_auto] items-end gap-2">
            <SelectField
              label="Release"
              value={row.release || first}
              onChange={(e) => change(i, { release: e.target.value })}
              choices={choices}
            />
            <NumberField label="Weight, %" value={row.weight} onValue={(weight) => change(i, { weight })} min={0} max={100} step={1} />
            <Button
              look="quiet"
              className="px-2"
              aria-label={`Remove line ${i + 1}`}
              disabled={rows.length === 1}
              onClick={() => setRows((all) => all.filter((_, j) => j !== i))}
            >
              <X className="size-4" aria-hidden />
            </Button>
          </div>
        ))}
        <div className="flex items-center justify-between text-sm">
          <Button
            icon={<Plus className="size-4" aria-hidden />}
            onClick={() => setRows((all) => [...all, { release: '', weight: Math.max(0, 100 - total) }])}
          >
            Add a release
          </Button>
          <span className={total === 100 ? 'text-ink-2' : 'font-medium text-bad'}>
            {total === 100 ? 'adds up to 100%' : `adds up to ${total}%, not 100%`}
          </span>
        </div>
      </fieldset>
    </FormDialog>
  )
}
