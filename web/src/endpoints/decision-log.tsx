/** What a rollout decided and on what it had seen, newest first. */
import type { Decision, Observed } from '../api/types'
import { count, percent } from '../format/number'
import { clock } from '../format/time'
import { Badge, type Tone } from '../ui/badge'
import { ScrollBox } from '../ui/scroll-box'

const TONES: Record<Decision['action'], Tone> = { start: 'accent', advance: 'good', hold: 'neutral', promote: 'good', roll_back: 'bad' }

export function DecisionLog({ decisions }: { decisions: Decision[] }) {
  return (
    <ScrollBox label="Decision log" className="max-h-96">
      <ol className="flex flex-col gap-3" aria-label="Decisions">
        {foldHolds(decisions)
          .toReversed()
          .map(({ decision, repeated }, i) => (
            <li key={`${decision.at}-${i}`} className="grid grid-cols-[4.6rem_minmax(0,1fr)] gap-x-3 text-sm">
              <time className="num text-xs leading-5 text-ink-3" dateTime={decision.at}>
                {clock(decision.at)}
              </time>
              <div className="min-w-0">
                <p className="flex flex-wrap items-center gap-x-2">
                  <Badge tone={TONES[decision.action] ?? 'neutral'}>{decision.action.replace('_', ' ')}</Badge>
                  <span className="break-words">{decision.reason}</span>
                  {repeated > 1 && <span className="text-xs text-ink-3">{repeated} times</span>}
                </p>
                {decision.observed && (
                  <p className="num mt-0.5 text-xs text-ink-3">
                    candidate {seen(decision.observed.candidate)} · baseline {seen(decision.observed.baseline)}
                  </p>
                )}
              </div>
            </li>
          ))}
      </ol>
    </ScrollBox>
  )
}

function seen(o: Observed): string {
  const errors = o.requests > 0 ? `, ${percent(o.errors / o.requests)} errors` : ''
  const score = o.score_mean === null ? '' : `, mean score ${o.score_mean.toFixed(2)} of ${count(o.scores)}`
  return `${count(o.requests)} requests${errors}${score}`
}

/** A rollout that waits holds every few seconds; one line for a run of holds at a stage is enough. */
export function foldHolds(decisions: Decision[]): { decision: Decision; repeated: number }[] {
  const folded: { decision: Decision; repeated: number }[] = []
  for (const decision of decisions) {
    const last = folded.at(-1)
    if (last && decision.action === 'hold' && last.decision.action === 'hold' && last.decision.stage === decision.stage) {
      last.decision = decision
      last.repeated += 1
    } else folded.push({ decision, repeated: 1 })
  }
  return folded
}
