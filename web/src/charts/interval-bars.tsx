/** Values with their 95% intervals on one shared axis. */
import type { Interval } from '../api/types'
import { percent } from '../format/number'

export interface IntervalRow extends Interval {
  key: string
  label: string
  note?: string
  tone?: 'accent' | 'bronze'
}

interface IntervalBarsProps {
  rows: IntervalRow[]
  /** The axis; shares run from 0 to 1. A difference wants a range around 0. */
  from?: number
  to?: number
  format?: (value: number) => string
}

export function IntervalBars({ rows, from = 0, to = 1, format = percent }: IntervalBarsProps) {
  const at = (value: number) => `${(Math.min(1, Math.max(0, (value - from) / (to - from))) * 100).toFixed(2)}%`
  const crossesZero = from < 0 && to > 0
  // The unit stands once; in the brackets the numbers are enough.
  const bare = (value: number) => format(value).replace(/%| pts/g, '')
  return (
    <ul className="flex flex-col gap-2.5">
      {rows.map((row) => {
        const color = row.tone === 'bronze' ? 'var(--bronze)' : 'var(--accent)'
        const start = crossesZero ? Math.min(0, row.value) : from
        const end = crossesZero ? Math.max(0, row.value) : row.value
        return (
          <li
            key={row.key}
            className="grid grid-cols-[minmax(5rem,10rem)_minmax(0,1fr)] items-center gap-x-3 gap-y-0.5 text-sm max-sm:grid-cols-1"
          >
            <span className="truncate" title={row.label}>
              {row.label}
              {row.note && <span className="ml-1.5 text-xs text-ink-3">{row.note}</span>}
            </span>
            <span className="flex items-center gap-3">
              <span className="relative h-5 min-w-0 flex-1 rounded bg-sunken" aria-hidden>
                <span
                  className="absolute inset-y-0.5 rounded-sm opacity-35"
                  style={{ left: at(start), width: `calc(${at(end)} - ${at(start)})`, background: color }}
                />
                <span
                  className="absolute top-1/2 h-0.5 -translate-y-1/2"
                  style={{ left: at(row.low), width: `calc(${at(row.high)} - ${at(row.low)})`, background: color }}
                />
                {[row.low, row.high].map((edge, i) => (
                  <span key={i} className="absolute inset-y-1.5 w-0.5 -translate-x-1/2" style={{ left: at(edge), background: color }} />
                ))}
                <span
                  className="absolute top-1/2 size-2.5 -translate-1/2 rounded-full border-2 border-surface"
                  style={{ left: at(row.value), background: color }}
                />
                {crossesZero && <span className="absolute inset-y-0 w-px bg-ink-3" style={{ left: at(0) }} />}
              </span>
              <span className={`num shrink-0 text-right whitespace-nowrap ${crossesZero ? '' : 'w-[9.6rem]'}`}>
                <strong>{format(row.value)}</strong>{' '}
                <span className="text-xs text-ink-3">
                  [{bare(row.low)}, {bare(row.high)}]
                </span>
              </span>
            </span>
          </li>
        )
      })}
    </ul>
  )
}
