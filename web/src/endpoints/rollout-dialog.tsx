/** Starts a canary: a candidate gets stated shares of the traffic, one stage after the other. */
import { useState } from 'react'
import { useNavigate } from 'react-router'
import { ApiError } from '../api/client'
import type { Gate, Release } from '../api/types'
import { useGateOf, useReleases } from '../models/model-queries'
import { FormDialog } from '../ui/dialog'
import { NumberField, SelectField, TextField } from '../ui/field'
import { useToast } from '../ui/toast'
import { useEndpoints, useStartRollout } from './endpoint-queries'
import { readStages } from './stages-text'

export function RolloutDialog({
  endpoint: initialEndpoint,
  candidate: initialCandidate,
  onClose,
}: {
  endpoint: string | null
  candidate: string
  onClose: () => void
}) {
  const start = useStartRollout()
  const toast = useToast()
  const navigate = useNavigate()
  const releases = useReleases()
  const endpoints = useEndpoints()
  const [endpoint, setEndpoint] = useState(initialEndpoint ?? '')
  const [candidate, setCandidate] = useState(initialCandidate)
  const [stages, setStages] = useState('10, 50, 100')
  const [requests, setRequests] = useState<number | null>(50)
  const [errors, setErrors] = useState<number | null>(2)
  const [drop, setDrop] = useState<number | null>(0.1)
  const [scores, setScores] = useState<number | null>(20)
  const [override, setOverride] = useState('')
  const free = endpoints.data?.items.filter((e) => e.rollout?.state !== 'running') ?? []
  const chosenEndpoint = endpoint || free[0]?.name || ''
  const serving = endpoints.data?.items.find((e) => e.name === chosenEndpoint)?.traffic ?? []
  const candidates = releases.data?.items.filter((r) => !serving.some((t) => t.release_id === r.id && t.weight === 100)) ?? []
  const chosen = candidates.find((r) => r.id === candidate) ?? candidates[0]
  const gate = useGateOf(chosen?.gate ?? null)
  const parsed = readStages(stages)
  const refused = start.error instanceof ApiError && start.error.code === 'gate_failed'
  const failed = gate !== null && typeof gate !== 'string' && !gate.passed
  const needsReason = refused || failed || override !== ''

  function submit() {
    if (!chosen || !parsed.stages) return
    start.mutate(
      {
        endpoint: chosenEndpoint,
        candidate: chosen.id,
        stages: parsed.stages,
        min_requests_per_stage: requests ?? 50,
        max_error_rate_increase: (errors ?? 2) / 100,
        max_feedback_drop: drop ?? 0.1,
        min_feedback: scores ?? 20,
        gate: gateId(chosen),
        ...(override.trim() ? { override_gate: override.trim() } : {}),
      },
      {
        onSuccess: (rollout) => {
          toast(`Rollout of ${rollout.candidate_name} started`)
          onClose()
          void navigate(`/endpoints/${encodeURIComponent(rollout.endpoint)}`)
        },
      },
    )
  }

  return (
    <FormDialog
      title="Start a rollout"
      description="The candidate gets the first share of the traffic now. It moves up when enough requests went well, and everything goes back by itself when errors or feedback get worse."
      submit="Start the rollout"
      busy={start.isPending}
      error={start.error}
      disabled={!chosenEndpoint || !chosen || !parsed.stages || (needsReason && !override.trim())}
      onSubmit={submit}
      onClose={onClose}
      wide
    >
      <div className="grid gap-4 sm:grid-cols-2">
        <SelectField
          label="Endpoint"
          value={chosenEndpoint}
          disabled={initialEndpoint !== null}
          onChange={(e) => setEndpoint(e.target.value)}
          choices={(initialEndpoint ? [initialEndpoint] : free.map((e) => e.name)).map((name) => ({ value: name, label: name }))}
        />
        <SelectField
          label="Candidate release"
          value={chosen?.id ?? ''}
          onChange={(e) => setCandidate(e.target.value)}
          choices={candidates.map((r) => ({ value: r.id, label: r.name }))}
          hint={chosen && gateHint(gate)}
        />
        <TextField
          label="Stages, % of the traffic"
          value={stages}
          onChange={(e) => setStages(e.target.value)}
          hint={parsed.problem ?? 'Rising shares; the last is usually 100.'}
          aria-invalid={parsed.problem ? true : undefined}
        />
        <NumberField
          label="Requests for each stage"
          value={requests}
          onValue={setRequests}
          min={1}
          step={1}
          hint="Fewer than this decide nothing."
        />
      </div>
      <fieldset className="grid gap-4 sm:grid-cols-3">
        <legend className="mb-2 text-sm font-semibold">Roll back by itself when</legend>
        <NumberField label="Errors rise by, points" value={errors} onValue={setErrors} min={0} max={100} />
        <NumberField label="Mean score falls by" value={drop} onValue={setDrop} min={0} max={1} />
        <NumberField label="Scores needed" value={scores} onValue={setScores} min={0} step={1} />
      </fieldset>
      {needsReason && (
        <TextField
          label="Reason to override the gate"
          value={override}
          onChange={(e) => setOverride(e.target.value)}
          hint="It is kept in the audit trail with your name."
        />
      )}
    </FormDialog>
  )
}

function gateId(release: Release): string | null {
  return typeof release.gate === 'string' ? release.gate : (release.gate?.id ?? null)
}

function gateHint(gate: Gate | string | null): string {
  if (!gate) return 'This release has no gate.'
  if (typeof gate === 'string') return 'This release carries a gate.'
  return gate.passed ? 'Its gate passed.' : 'Its gate did not pass: starting needs a reason.'
}
