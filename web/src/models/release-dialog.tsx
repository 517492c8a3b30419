/** Makes a release: what it is made of is fixed from then on. */
import { useState } from 'react'
import { useNavigate } from 'react-router'
import { shortId } from '../format/names'
import { FormDialog } from '../ui/dialog'
import { NumberField, SelectField, TextAreaField, TextField } from '../ui/field'
import { useToast } from '../ui/toast'
import { useCreateRelease, useModels } from './model-queries'

export function ReleaseDialog({ adapter: initialAdapter, gate, onClose }: { adapter: string; gate: string | null; onClose: () => void }) {
  const create = useCreateRelease()
  const navigate = useNavigate()
  const toast = useToast()
  const models = useModels()
  const [name, setName] = useState(initialAdapter ? initialAdapter.replace('@', '-v').replaceAll('/', '-') : '')
  const [choice, setChoice] = useState(initialAdapter)
  const [temperature, setTemperature] = useState<number | null>(0)
  const [maxTokens, setMaxTokens] = useState<number | null>(null)
  const [prompt, setPrompt] = useState('')
  const all = models.data?.items ?? []
  const chosenRef = choice || all[0]?.ref || ''
  const chosen = all.find((m) => m.ref === chosenRef)

  function submit() {
    if (!chosen) return
    const isAdapter = chosen.kind === 'adapter'
    create.mutate(
      {
        name: name.trim(),
        model: isAdapter ? chosen.base : chosen.ref,
        adapter: isAdapter ? chosen.ref : null,
        upstream: null,
        sampling: { ...(temperature === null ? {} : { temperature }), ...(maxTokens === null ? {} : { max_tokens: maxTokens }) },
        system_prompt: prompt.trim() || null,
        gate,
      },
      {
        onSuccess: (release) => {
          toast(`Release ${release.name} created`)
          void navigate(`/releases/${release.id}`)
        },
      },
    )
  }

  return (
    <FormDialog
      title="New release"
      description="A release never changes. Creating one does not send it any traffic."
      submit="Create the release"
      busy={create.isPending}
      error={create.error}
      onSubmit={submit}
      onClose={onClose}
      disabled={!name.trim() || !chosen}
    >
      <TextField label="Name" value={name} onChange={(e) => setName(e.target.value)} placeholder="telco-desk-v2" required />
      <SelectField
        label="Model or adapter"
        value={chosenRef}
        onChange={(e) => setChoice(e.target.value)}
        choices={all.map((m) => ({ value: m.ref, label: m.kind === 'adapter' ? `${m.ref} (adapter on ${m.base ?? '?'})` : m.ref }))}
      />
      <div className="grid grid-cols-2 gap-4">
        <NumberField label="Temperature" value={temperature} onValue={setTemperature} min={0} max={2} placeholder="the caller's" />
        <NumberField label="Tokens at most" value={maxTokens} onValue={setMaxTokens} min={1} step={1} placeholder="the caller's" />
      </div>
      <TextAreaField
        label="System prompt (optional)"
        rows={3}
        value={prompt}
        onChange={(e) => setPrompt(e.target.value)}
        hint="Used when the caller sends none."
      />
      {gate && (
        <p className="text-sm text-ink-2">
          Carries gate <span className="font-mono text-xs">{shortId(gate)}</span>.
        </p>
      )}
    </FormDialog>
  )
}
