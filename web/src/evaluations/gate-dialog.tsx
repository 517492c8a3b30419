/** Decides a gate over a task comparison and, if chosen, a regression comparison; then offers a release. */
import { Check, X } from 'lucide-react'
import { useState } from 'react'
import type { Gate } from '../api/types'
import { shortId } from '../format/names'
import { Badge } from '../ui/badge'
import { Button, ButtonLink } from '../ui/button'
import { Dialog, FormDialog } from '../ui/dialog'
import { NumberField, SelectField } from '../ui/field'
import { useDecideGate, useEvaluations } from './evaluation-queries'

interface GateDialogProps {
  baseline: string
  candidate: string
  onClose: () => void
}

export function GateDialog({ baseline, candidate, onClose }: GateDialogProps) {
  const decide = useDecideGate()
  const evaluations = useEvaluations()
  const [alpha, setAlpha] = useState<number | null>(0.05)
  const [minGain, setMinGain] = useState<number | null>(0)
  const [margin, setMargin] = useState<number | null>(0.03)
  const [regressionBase, setRegressionBase] = useState('')
  const [regressionCandidate, setRegressionCandidate] = useState('')
  const all = evaluations.data?.items ?? []
  const regressions = all.filter((e) => 'builtin' in e.suite).map((e) => ({ value: e.id, label: e.name }))
  const none = { value: '', label: 'none' }
  const wholePair = (regressionBase === '') === (regressionCandidate === '')
  const target = all.find((e) => e.id === candidate)?.target
  const adapter = target && 'model' in target ? target.adapter : null

  if (decide.data) return <GateResult gate={decide.data} adapter={adapter ?? null} onClose={onClose} />
  return (
    <FormDialog
      title="Decide a gate"
      description="The rules are checked once and the result is kept with its reasons. A rollout of a release whose gate did not pass is refused."
      submit="Decide"
      busy={decide.isPending}
      error={decide.error}
      disabled={!wholePair}
      onClose={onClose}
      onSubmit={() =>
        decide.mutate({
          task: { baseline, candidate, alpha: alpha ?? 0.05, min_gain: minGain ?? 0 },
          regression:
            regressionBase && regressionCandidate
              ? { baseline: regressionBase, candidate: regressionCandidate, margin: margin ?? 0.03 }
              : null,
        })
      }
    >
      <div className="grid grid-cols-2 gap-4">
        <NumberField label="Significance level" value={alpha} onValue={setAlpha} min={0.0001} max={0.5} />
        <NumberField label="Gain at least" value={minGain} onValue={setMinGain} min={0} max={1} />
      </div>
      <fieldset className="grid gap-4 sm:grid-cols-2">
        <legend className="mb-2 text-sm font-semibold">Not worse on the regression set</legend>
        <SelectField
          label="Baseline run"
          value={regressionBase}
          onChange={(e) => setRegressionBase(e.target.value)}
          choices={[none, ...regressions]}
        />
        <SelectField
          label="Candidate run"
          value={regressionCandidate}
          onChange={(e) => setRegressionCandidate(e.target.value)}
          choices={[none, ...regressions]}
        />
        <NumberField label="Margin" value={margin} onValue={setMargin} min={0} max={1} hint="How far it may fall, as a share." />
      </fieldset>
    </FormDialog>
  )
}

function GateResult({ gate, adapter, onClose }: { gate: Gate; adapter: string | null; onClose: () => void }) {
  return (
    <Dialog
      title={gate.passed ? 'The gate passed' : 'The gate did not pass'}
      description={<span className="font-mono text-xs">{shortId(gate.id)}</span>}
      onClose={onClose}
    >
      <GateRules gate={gate} />
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Close</Button>
        {adapter && (
          <ButtonLink look="primary" to={`/models?tab=releases&new=1&adapter=${encodeURIComponent(adapter)}&gate=${gate.id}`}>
            Create a release
          </ButtonLink>
        )}
      </div>
    </Dialog>
  )
}

export function GateRules({ gate }: { gate: Gate }) {
  return (
    <ul className="flex flex-col gap-2.5">
      {gate.rules.map((rule) => (
        <li key={rule.name} className="flex gap-2.5 text-sm">
          {rule.passed ? (
            <Check className="mt-0.5 size-4 shrink-0 text-good" aria-label="passed" />
          ) : (
            <X className="mt-0.5 size-4 shrink-0 text-bad" aria-label="failed" />
          )}
          <span className="min-w-0">
            <span className="font-medium">{rule.name.replaceAll('_', ' ')}</span> {!rule.passed && <Badge tone="bad">failed</Badge>}
            <span className="block break-words text-ink-2">{rule.detail}</span>
          </span>
        </li>
      ))}
    </ul>
  )
}
