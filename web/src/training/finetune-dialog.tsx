/** Starts a LoRA fine-tune; what is left empty is chosen by the server. */
import { useState } from 'react'
import { useNavigate } from 'react-router'
import { useDatasets } from '../datasets/dataset-queries'
import { useModels } from '../models/model-queries'
import { FormDialog } from '../ui/dialog'
import { CheckField, NumberField, SelectField, TextField } from '../ui/field'
import { useStartFinetune } from './job-queries'

export function FinetuneDialog({ dataset: initialDataset, onClose }: { dataset: string; onClose: () => void }) {
  const start = useStartFinetune()
  const navigate = useNavigate()
  const models = useModels()
  const datasets = useDatasets()
  const bases = models.data?.items.filter((m) => m.kind === 'base').map((m) => m.ref) ?? []
  const newest = datasets.data?.items.flatMap((d) => (d.latest ? [d.latest.name] : [])) ?? []
  const versions = initialDataset && !newest.includes(initialDataset) ? [initialDataset, ...newest] : newest
  const [name, setName] = useState('')
  const [base, setBase] = useState('')
  const [dataset, setDataset] = useState(initialDataset)
  const [rows, setRows] = useState<number | null>(null)
  const [seed, setSeed] = useState<number | null>(1)
  const [rank, setRank] = useState<number | null>(null)
  const [alpha, setAlpha] = useState<number | null>(null)
  const [learningRate, setLearningRate] = useState<number | null>(null)
  const [epochs, setEpochs] = useState<number | null>(null)
  const [batchTokens, setBatchTokens] = useState<number | null>(null)
  const [rehearsal, setRehearsal] = useState<number | null>(null)
  const [kl, setKl] = useState<number | null>(null)
  const [minutes, setMinutes] = useState<number | null>(null)
  const [shuffle, setShuffle] = useState(false)
  const chosenBase = base || bases[0] || ''
  const chosenDataset = dataset || versions[0] || ''

  function submit() {
    start.mutate(
      {
        name: name.trim(),
        base: chosenBase,
        dataset: chosenDataset,
        train_rows: rows,
        seed: seed ?? 1,
        shuffle_labels: shuffle,
        rank,
        alpha,
        learning_rate: learningRate,
        epochs,
        batch_tokens: batchTokens,
        rehearsal,
        kl_to_base: kl,
        max_minutes: minutes,
      },
      { onSuccess: (job) => void navigate(`/training/${job.id}`) },
    )
  }
  const auto = { placeholder: 'default' }
  return (
    <FormDialog
      title="New fine-tune"
      description="Trains a LoRA adapter on a dataset version. The base model stays as it is."
      submit="Start training"
      busy={start.isPending}
      error={start.error}
      onSubmit={submit}
      onClose={onClose}
      disabled={!name.trim() || !chosenBase || !chosenDataset}
      wide
    >
      <div className="grid gap-4 sm:grid-cols-2">
        <TextField
          label="Adapter name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          placeholder="telco-desk"
          required
          pattern="[a-z0-9][a-z0-9._\-]*"
          hint="A name that exists gets its next version."
        />
        <SelectField
          label="Base model"
          value={chosenBase}
          onChange={(e) => setBase(e.target.value)}
          choices={bases.map((ref) => ({ value: ref, label: ref }))}
        />
        <SelectField
          label="Dataset version"
          value={chosenDataset}
          onChange={(e) => setDataset(e.target.value)}
          choices={versions.map((v) => ({ value: v, label: v }))}
        />
        <NumberField
          label="Training rows"
          value={rows}
          onValue={setRows}
          min={1}
          step={1}
          placeholder="all"
          hint="Fewer are drawn by the seed."
        />
      </div>
      <details className="rounded-lg border border-line px-3.5 py-2.5">
        <summary className="text-sm font-medium">Hyperparameters</summary>
        <div className="mt-3 grid grid-cols-2 gap-4 sm:grid-cols-3">
          <NumberField label="Rank" value={rank} onValue={setRank} min={1} step={1} {...auto} />
          <NumberField label="Alpha" value={alpha} onValue={setAlpha} min={1} step={1} {...auto} />
          <NumberField label="Seed" value={seed} onValue={setSeed} step={1} />
          <NumberField label="Learning rate" value={learningRate} onValue={setLearningRate} min={0} {...auto} />
          <NumberField label="Epochs" value={epochs} onValue={setEpochs} min={0} {...auto} />
          <NumberField label="Tokens per batch" value={batchTokens} onValue={setBatchTokens} min={1} step={1} {...auto} />
          <NumberField
            label="Rehearsal share"
            value={rehearsal}
            onValue={setRehearsal}
            min={0}
            max={1}
            {...auto}
            hint="Base tasks mixed in against forgetting."
          />
          <NumberField label="KL to the base" value={kl} onValue={setKl} min={0} {...auto} />
          <NumberField label="Minutes at most" value={minutes} onValue={setMinutes} min={0} placeholder="no limit" />
        </div>
        <div className="mt-3">
          <CheckField
            label="Shuffle the answers"
            hint="A control that must not learn anything."
            checked={shuffle}
            onChange={(e) => setShuffle(e.target.checked)}
          />
        </div>
      </details>
    </FormDialog>
  )
}
