/** Rows by split as one bar with its numbers. */
import type { DatasetVersion } from '../api/types'
import { count } from '../format/number'

const SPLITS = [
  { name: 'train', color: 'bg-accent' },
  { name: 'validation', color: 'bg-bronze' },
  { name: 'test', color: 'bg-line-strong' },
] as const

export function SplitSizes({ rows }: { rows: DatasetVersion['rows'] }) {
  const total = SPLITS.reduce((sum, split) => sum + (rows[split.name] ?? 0), 0)
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <div className="flex h-2 gap-px overflow-hidden rounded-full bg-sunken" aria-hidden>
        {SPLITS.map((split) => (
          <span key={split.name} className={split.color} style={{ width: `${((rows[split.name] ?? 0) / Math.max(1, total)) * 100}%` }} />
        ))}
      </div>
      <div className="num flex flex-wrap gap-x-3 text-xs text-ink-2">
        {SPLITS.map((split) => (
          <span key={split.name} className="inline-flex items-center gap-1">
            <span className={`size-1.5 rounded-full ${split.color}`} aria-hidden />
            {split.name} {count(rows[split.name] ?? 0)}
          </span>
        ))}
      </div>
    </div>
  )
}
