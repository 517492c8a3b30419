/** The stages of a rollout as stations on a line, with the one that is reached marked. */
import { Check } from 'lucide-react'
import type { Rollout } from '../api/types'

export function StageTrack({ rollout }: { rollout: Rollout }) {
  const done = rollout.state === 'promoted'
  return (
    <ol className="flex items-center gap-1.5" aria-label="Stages">
      {rollout.stages.map((weight, i) => {
        const passed = done || i < rollout.stage
        const here = !done && i === rollout.stage && rollout.state === 'running'
        return (
          <li key={i} className="flex min-w-0 flex-1 flex-col gap-1" aria-current={here ? 'step' : undefined}>
            <span className={`h-1.5 rounded-full ${passed ? 'bg-bronze' : here ? 'pulse bg-bronze' : 'bg-sunken'}`} />
            <span className={`num flex items-center gap-1 text-xs ${here ? 'font-semibold text-bronze' : 'text-ink-3'}`}>
              {passed && <Check className="size-3" aria-label="passed" />}
              {weight}%
            </span>
          </li>
        )
      })}
    </ol>
  )
}
