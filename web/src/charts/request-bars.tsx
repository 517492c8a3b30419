/** Requests per minute of the last hour, errors on top. */
import { useWidth } from './use-width'
import { clock } from '../format/time'

interface RequestBarsProps {
  series: { at: string; count: number; errors: number }[]
  height?: number
}

export function RequestBars({ series, height = 96 }: RequestBarsProps) {
  const [frame, width] = useWidth()
  const most = Math.max(4, ...series.map((m) => m.count))
  const total = series.reduce((sum, m) => sum + m.count, 0)
  const errors = series.reduce((sum, m) => sum + m.errors, 0)
  const step = width / Math.max(1, series.length)
  const bar = (value: number) => (value / most) * (height - 4)
  return (
    <div ref={frame}>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={`Requests per minute over the last hour: ${total} requests, ${errors} errors`}
        className="block"
      >
        <line x1={0} x2={width} y1={height - 0.5} y2={height - 0.5} stroke="var(--line)" />
        {series.map((minute, i) => (
          <g key={minute.at}>
            <title>{`${clock(minute.at)}: ${minute.count} requests, ${minute.errors} errors`}</title>
            <rect x={i * step} y={0} width={step} height={height} fill="transparent" />
            <rect
              x={i * step + 1}
              y={height - bar(minute.count)}
              width={Math.max(1, step - 2)}
              height={bar(minute.count)}
              rx={1.5}
              fill="var(--accent)"
              opacity={0.85}
            />
            {minute.errors > 0 && (
              <rect
                x={i * step + 1}
                y={height - bar(minute.count)}
                width={Math.max(1, step - 2)}
                height={Math.max(2, bar(minute.errors))}
                rx={1.5}
                fill="var(--bad)"
              />
            )}
          </g>
        ))}
      </svg>
      <div className="num flex justify-between pt-1 text-xs text-ink-3">
        <span>{series[0] ? clock(series[0].at).slice(0, 5) : ''}</span>
        <span>now</span>
      </div>
    </div>
  )
}
