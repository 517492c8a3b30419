/** How far a job is, as a bar with words. */
import type { Job } from '../api/types'
import { count } from '../format/number'

export function JobProgress({ job }: { job: Job }) {
  const { progress, state } = job
  if (state === 'failed' && job.error) return <p className="text-sm text-bad">{job.error.message}</p>
  const total = progress?.total ?? null
  const share = state === 'succeeded' ? 1 : total ? Math.min(1, (progress?.done ?? 0) / total) : 0
  const words = progress
    ? [total ? `${count(progress.done)} of ${count(total)} ${progress.unit ?? ''}` : null, state === 'succeeded' ? null : progress.message]
        .filter(Boolean)
        .join(' · ')
    : state
  return (
    <div className="min-w-0">
      <div
        className="h-1.5 overflow-hidden rounded-full bg-sunken"
        role="progressbar"
        aria-label={job.title}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
      >
        <div
          className={`h-full rounded-full transition-[width] duration-500 ${state === 'cancelled' ? 'bg-warn' : 'bg-accent'}`}
          style={{ width: `${share * 100}%` }}
        />
      </div>
      <p className="num mt-1 truncate text-xs text-ink-3">{words}</p>
    </div>
  )
}
