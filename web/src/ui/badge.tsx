/** Small labels whose color and words both carry the state. */
import type { ReactNode } from 'react'
import type { JobState, RolloutState, TraceStatus } from '../api/types'

export type Tone = 'neutral' | 'accent' | 'bronze' | 'good' | 'bad' | 'warn'

const TONES: Record<Tone, string> = {
  neutral: 'bg-sunken text-ink-2',
  accent: 'bg-accent-soft text-accent-strong',
  bronze: 'bg-bronze-soft text-bronze',
  good: 'bg-good-soft text-good',
  bad: 'bg-bad-soft text-bad',
  warn: 'bg-warn-soft text-warn',
}

export function Badge({ tone = 'neutral', live = false, children }: { tone?: Tone; live?: boolean; children: ReactNode }) {
  return (
    <span className={`inline-flex items-center gap-1.5 rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap ${TONES[tone]}`}>
      {live && <span className="pulse size-1.5 rounded-full bg-current" aria-hidden />}
      {children}
    </span>
  )
}

const JOB_TONES: Record<JobState, Tone> = { queued: 'neutral', running: 'accent', succeeded: 'good', failed: 'bad', cancelled: 'warn' }
export function JobBadge({ state }: { state: JobState }) {
  return (
    <Badge tone={JOB_TONES[state]} live={state === 'running'}>
      {state}
    </Badge>
  )
}

const TRACE_TONES: Record<TraceStatus, Tone> = { ok: 'good', error: 'bad', cancelled: 'warn', partial: 'warn' }
export function TraceBadge({ status }: { status: TraceStatus }) {
  return <Badge tone={TRACE_TONES[status]}>{status}</Badge>
}

const ROLLOUT_TONES: Record<RolloutState, Tone> = { running: 'accent', promoted: 'good', rolled_back: 'bad', cancelled: 'warn' }
export function RolloutBadge({ state }: { state: RolloutState }) {
  return (
    <Badge tone={ROLLOUT_TONES[state]} live={state === 'running'}>
      {state.replace('_', ' ')}
    </Badge>
  )
}
