/** Starts an evaluation of a model, an adapter, an endpoint, or the constant answer as a control. */
import { useState } from 'react'
import type { EvaluationSuite, EvaluationTarget } from '../api/types'
import { useDatasets } from '../datasets/dataset-queries'
import { useEndpoints } from '../endpoints/endpoint-queries'
import { useModels } from '../models/model-queries'
import { FormDialog } from '../ui/dialog'
import { NumberField, SelectField, TextField } from '../ui/field'
import { useToast } from '../ui/toast'
import { useStartEvaluation } from './evaluation-queries'

export function EvaluationDialog({ adapter, onClose }: { adapter: string; onClose: () => void }) {
  const start = useStartEvaluation()
  const toast = useToast()
  const models = useModels()
  const datasets = useDatasets()
  const endpoints = useEndpoints()
  const [name, setName] = useState('')
  const [target, setTarget] = useState(adapter ? `model:${adapter}` : '')
  const [suite, setSuite] = useState('')
  const [limit, setLimit] = useState<number | null>(null)
  const [fewShot, setFewShot] = useState<number | null>(0)

  const targets = [
    ...(models.data?.items.map((m) => ({ value: `model:${m.ref}`, label: `${m.kind} ${m.ref}` })) ?? []),
    ...(endpoints.data?.items.map((e) => ({ value: `endpoint:${e.name}`, label: `endpoint ${e.name}` })) ?? []),
    { value: 'constant', label: 'constant answer (control)' },
  ]
  const suites = [
    ...(datasets.data?.items.flatMap((d) =>
      d.latest && d.latest.rows.test > 0 ? [{ value: `dataset:${d.latest.name}`, label: `${d.latest.name}, test split` }] : [],
    ) ?? []),
    { value: 'builtin:regression', label: 'regression set (built in)' },
  ]
  const chosenTarget = target || targets[0]?.value || ''
  const chosenSuite = suite || suites[0]?.value || ''
  const suggested = `${chosenTarget.replace(/^\w+:/, '')} on ${chosenSuite.replace(/^\w+:/, '')}`

  function submit() {
    start.mutate(
      { name: name.trim() || suggested, target: readTarget(chosenTarget), suite: readSuite(chosenSuite, limit), few_shot: fewShot ?? 0 },
      {
        onSuccess: (job) => {
          toast(`Started: ${job.title}`)
          onClose()
        },
      },
    )
  }

  /** An adapter is evaluated together with the base that it belongs to. */
  function readTarget(value: string): EvaluationTarget {
    if (value === 'constant') return { constant: true }
    const [kind, rest] = [value.slice(0, value.indexOf(':')), value.slice(value.indexOf(':') + 1)]
    if (kind === 'endpoint') return { endpoint: rest }
    const model = models.data?.items.find((m) => m.ref === rest)
    return model?.kind === 'adapter' ? { model: model.base ?? rest, adapter: rest } : { model: rest, adapter: null }
  }

  return (
    <FormDialog
      title="New evaluation"
      description="Every item is asked once with greedy decoding, and its answer is kept."
      submit="Start"
      busy={start.isPending}
      error={start.error}
      onSubmit={submit}
      onClose={onClose}
      disabled={!chosenTarget || !chosenSuite}
    >
      <SelectField label="What to evaluate" value={chosenTarget} onChange={(e) => setTarget(e.target.value)} choices={targets} />
      <SelectField label="On which suite" value={chosenSuite} onChange={(e) => setSuite(e.target.value)} choices={suites} />
      <TextField label="Name" value={name} onChange={(e) => setName(e.target.value)} placeholder={suggested} />
      <div className="grid grid-cols-2 gap-4">
        <NumberField label="Items at most" value={limit} onValue={setLimit} min={1} step={1} placeholder="all" />
        <NumberField label="Examples in the prompt" value={fewShot} onValue={setFewShot} min={0} step={1} />
      </div>
    </FormDialog>
  )
}

function readSuite(value: string, limit: number | null): EvaluationSuite {
  const rest = value.slice(value.indexOf(':') + 1)
  return value.startsWith('builtin:') ? { builtin: rest, limit } : { dataset: rest, split: 'test', limit, seed: null }
}
