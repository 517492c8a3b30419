/** Builds a dataset version from logged traffic or from an uploaded file, and follows the job. */
import { useState } from 'react'
import { Link } from 'react-router'
import type { NewDatasetVersion, TraceFilter } from '../api/types'
import { useEndpoints } from '../endpoints/endpoint-queries'
import { JobProgress } from '../training/job-progress'
import { isActive, useJob } from '../training/job-queries'
import { JobBadge } from '../ui/badge'
import { Button, ButtonLink } from '../ui/button'
import { Dialog, FormDialog } from '../ui/dialog'
import { CheckField, NumberField, SelectField, TextField } from '../ui/field'
import { ErrorNote } from '../ui/states'
import { useBuildVersion } from './dataset-queries'

const SCRUBBERS = [
  { id: 'email', label: 'e-mail addresses' },
  { id: 'phone', label: 'phone numbers' },
  { id: 'card', label: 'payment-card numbers' },
]

export function BuildDialog({ name: initialName, onClose }: { name: string; onClose: () => void }) {
  const build = useBuildVersion()
  const endpoints = useEndpoints()
  const [name, setName] = useState(initialName)
  const [kind, setKind] = useState<'traces' | 'blob'>('traces')
  const [file, setFile] = useState<File | null>(null)
  const [endpoint, setEndpoint] = useState('')
  const [limit, setLimit] = useState<number | null>(null)
  const [useCorrections, setUseCorrections] = useState(true)
  const [onlyJudged, setOnlyJudged] = useState(true)
  const [scrub, setScrub] = useState(SCRUBBERS.map((s) => s.id))
  const [exact, setExact] = useState(true)
  const [near, setNear] = useState(false)
  const [split, setSplit] = useState<'80' | '90' | 'keep'>('80')
  const [seed, setSeed] = useState<number | null>(7)

  if (build.data) return <BuildProgress jobId={build.data.id} name={name} onClose={onClose} />

  function submit() {
    const filter: TraceFilter = endpoint ? { endpoint, status: 'ok' } : { status: 'ok' }
    const shares = split === '90' ? { train: 0.9, validation: 0.05, test: 0.05 } : { train: 0.8, validation: 0.1, test: 0.1 }
    const version: NewDatasetVersion = {
      source: kind === 'traces' ? { kind, filter, limit } : { kind, digest: '' },
      use_corrections: useCorrections,
      only_judged: kind === 'traces' && onlyJudged,
      scrub,
      exact_dedup: exact,
      near_dedup: near ? 0.9 : null,
      split: split === 'keep' ? null : { ...shares, seed: seed ?? 7, stratify: true },
    }
    build.mutate({ name: name.trim(), file: kind === 'blob' ? file : null, version })
  }

  return (
    <FormDialog
      title="Build a dataset version"
      description="A job reads the source, cleans it, and publishes a version that never changes."
      submit="Build"
      busy={build.isPending}
      error={build.error}
      onSubmit={submit}
      onClose={onClose}
      disabled={!name.trim() || (kind === 'blob' && !file)}
      wide
    >
      <div className="grid gap-4 sm:grid-cols-2">
        <TextField
          label="Dataset name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          placeholder="telco"
          required
          pattern="[a-z0-9][a-z0-9._\-]*"
          hint="A name that exists gets its next version."
        />
        <SelectField
          label="Source"
          value={kind}
          onChange={(e) => {
            const next = e.target.value as 'traces' | 'blob'
            setKind(next)
            setSplit(next === 'blob' ? 'keep' : '80')
          }}
          choices={[
            { value: 'traces', label: 'Logged traffic' },
            { value: 'blob', label: 'A JSONL file' },
          ]}
        />
        {kind === 'traces' ? (
          <>
            <SelectField
              label="Endpoint"
              value={endpoint}
              onChange={(e) => setEndpoint(e.target.value)}
              choices={[
                { value: '', label: 'All endpoints' },
                ...(endpoints.data?.items.map((e) => ({ value: e.name, label: e.name })) ?? []),
              ]}
            />
            <NumberField label="At most this many traces" value={limit} onValue={setLimit} min={1} step={1} placeholder="all" />
          </>
        ) : (
          <div className="flex flex-col gap-1 sm:col-span-2">
            <label htmlFor="dataset-file" className="text-sm font-medium text-ink-2">
              File
            </label>
            <input
              id="dataset-file"
              type="file"
              accept=".jsonl,.json,application/jsonl"
              className="control py-1.5"
              onChange={(e) => setFile(e.target.files?.[0] ?? null)}
            />
            <p className="text-xs text-ink-3">
              One row a line: <code>{'{"messages":[…],"answer":"…","label":null,"split":null}'}</code>
            </p>
          </div>
        )}
      </div>
      <fieldset className="grid gap-2.5 sm:grid-cols-2">
        <legend className="mb-2 text-sm font-semibold">Rows</legend>
        {kind === 'traces' && (
          <>
            <CheckField
              label="Take corrections over answers"
              checked={useCorrections}
              onChange={(e) => setUseCorrections(e.target.checked)}
            />
            <CheckField
              label="Only judged rows"
              hint="with a correction or a good score"
              checked={onlyJudged}
              onChange={(e) => setOnlyJudged(e.target.checked)}
            />
          </>
        )}
        <CheckField label="Drop exact duplicates" checked={exact} onChange={(e) => setExact(e.target.checked)} />
        <CheckField label="Drop near duplicates" hint="90% alike or more" checked={near} onChange={(e) => setNear(e.target.checked)} />
      </fieldset>
      <fieldset className="flex flex-wrap gap-x-6 gap-y-2.5">
        <legend className="mb-2 text-sm font-semibold">Replace personal data</legend>
        {SCRUBBERS.map(({ id, label }) => (
          <CheckField
            key={id}
            label={label}
            checked={scrub.includes(id)}
            onChange={(e) => setScrub((all) => (e.target.checked ? [...all, id] : all.filter((s) => s !== id)))}
          />
        ))}
      </fieldset>
      <div className="grid gap-4 sm:grid-cols-2">
        <SelectField
          label="Split"
          value={split}
          onChange={(e) => setSplit(e.target.value as typeof split)}
          choices={[
            { value: '80', label: '80% train, 10% validation, 10% test' },
            { value: '90', label: '90% train, 5% validation, 5% test' },
            { value: 'keep', label: 'Keep the split that the rows give' },
          ]}
        />
        {split !== 'keep' && (
          <NumberField label="Seed" value={seed} onValue={setSeed} step={1} hint="The same seed gives the same split." />
        )}
      </div>
    </FormDialog>
  )
}

function BuildProgress({ jobId, name, onClose }: { jobId: string; name: string; onClose: () => void }) {
  const job = useJob(jobId)
  const made = typeof job.data?.result?.dataset === 'string' ? job.data.result.dataset : null
  const version = made?.split('@')[1]
  const ended = job.data !== undefined && !isActive(job.data.state)
  return (
    <Dialog
      title={made ? `${made} is ready` : ended ? `${name} was not built` : `Building ${name}`}
      onClose={onClose}
      description={ended ? undefined : 'The job goes on when this dialog is closed.'}
    >
      {job.data && (
        <div className="flex flex-col gap-3">
          <div className="flex items-center justify-between gap-3 text-sm">
            <Link className="link" to={`/training/${jobId}`}>
              {job.data.title}
            </Link>
            <JobBadge state={job.data.state} />
          </div>
          <JobProgress job={job.data} />
          {job.data.error?.hint && <p className="text-sm">{job.data.error.hint}</p>}
        </div>
      )}
      {job.isError && <ErrorNote error={job.error} />}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Close</Button>
        {version && (
          <ButtonLink look="primary" to={`/datasets/${encodeURIComponent(name)}/${version}`}>
            Open {made}
          </ButtonLink>
        )}
      </div>
    </Dialog>
  )
}
