/**
 * Lines over a numeric axis, as SVG: a crosshair that reads all lines, a logarithmic scale on
 * request, and the same numbers as text for a screen reader.
 */
import { scaleLinear, scaleLog } from 'd3-scale'
import { line } from 'd3-shape'
import { type PointerEvent, useId, useState } from 'react'
import { short } from '../format/number'
import { useWidth } from './use-width'

export interface Series {
  name: string
  color: string
  points: { x: number; y: number }[]
  dots?: boolean
  dashed?: boolean
}

interface LineChartProps {
  label: string
  xLabel: string
  series: Series[]
  height?: number
  log?: boolean
  format?: (value: number) => string
  xMax?: number
}

const MARGIN = { top: 10, right: 14, bottom: 26, left: 52 }

export function LineChart({ label, xLabel, series, height = 240, log = false, format = short, xMax }: LineChartProps) {
  const [frame, width] = useWidth()
  const [hover, setHover] = useState<number | null>(null)
  const clip = useId()
  const drawn = series.filter((s) => s.points.length > 0)
  const all = drawn.flatMap((s) => s.points)
  const xs = all.map((p) => p.x)
  const ys = all.map((p) => p.y).filter((y) => Number.isFinite(y) && (!log || y > 0))
  if (ys.length === 0) {
    return (
      <div ref={frame} className="flex items-center justify-center text-sm text-ink-3" style={{ height }}>
        Waiting for the first step
      </div>
    )
  }
  const low = Math.min(...ys)
  const high = Math.max(...ys)
  const x = scaleLinear([Math.min(...xs), Math.max(xMax ?? -Infinity, ...xs)], [MARGIN.left, width - MARGIN.right])
  const range: [number, number] = [height - MARGIN.bottom, MARGIN.top]
  const y = log ? scaleLog([low * 0.9, high * 1.1], range) : scaleLinear(linearDomain(low, high), range).nice(4)
  const yTicks = log ? decades(low, high) : y.ticks(4)
  const tickText = log ? short : format === short ? y.tickFormat(4) : format
  const path = line<{ x: number; y: number }>(
    (p) => x(p.x),
    (p) => y(p.y),
  ).defined((p) => Number.isFinite(p.y) && (!log || p.y > 0))

  function track(event: PointerEvent<SVGSVGElement>) {
    const box = event.currentTarget.getBoundingClientRect()
    setHover(x.invert(event.clientX - box.left))
  }
  const at = hover === null ? null : nearestX(all, hover)
  const readings = at === null ? [] : drawn.map((s) => ({ series: s, point: nearest(s.points, at) }))

  return (
    <figure className="relative m-0">
      <div ref={frame}>
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={describe(label, drawn, format)}
          onPointerMove={track}
          onPointerLeave={() => setHover(null)}
          className="block touch-pan-y"
        >
          <clipPath id={clip}>
            <rect x={MARGIN.left - 4} y={0} width={Math.max(0, width - MARGIN.left - MARGIN.right + 8)} height={height} />
          </clipPath>
          {yTicks.map((tick) => (
            <g key={tick} transform={`translate(0 ${y(tick)})`}>
              <line x1={MARGIN.left} x2={width - MARGIN.right} stroke="var(--line)" />
              <text x={MARGIN.left - 8} dy="0.32em" textAnchor="end" className="num fill-ink-3 text-[11px]">
                {tickText(tick)}
              </text>
            </g>
          ))}
          {x.ticks(Math.max(2, Math.floor(width / 110))).map((tick) => (
            <text key={tick} x={x(tick)} y={height - 8} textAnchor="middle" className="num fill-ink-3 text-[11px]">
              {tick.toLocaleString('en-US')}
            </text>
          ))}
          <g clipPath={`url(#${clip})`}>
            {drawn.map((s) => (
              <g key={s.name}>
                <path
                  d={path(s.points) ?? ''}
                  fill="none"
                  stroke={s.color}
                  strokeWidth={s.dots ? 2 : 1.6}
                  strokeLinejoin="round"
                  strokeDasharray={s.dashed ? '5 4' : undefined}
                />
                {s.dots &&
                  s.points.map((p) => (
                    <circle key={p.x} cx={x(p.x)} cy={y(p.y)} r={3} fill="var(--surface)" stroke={s.color} strokeWidth={2} />
                  ))}
              </g>
            ))}
          </g>
          {at !== null && (
            <g pointerEvents="none">
              <line x1={x(at)} x2={x(at)} y1={MARGIN.top} y2={height - MARGIN.bottom} stroke="var(--ink-3)" strokeDasharray="3 3" />
              {readings.map(
                ({ series: s, point }) =>
                  point &&
                  Number.isFinite(point.y) && (
                    <circle key={s.name} cx={x(point.x)} cy={y(point.y)} r={4} fill={s.color} stroke="var(--surface)" strokeWidth={2} />
                  ),
              )}
            </g>
          )}
        </svg>
      </div>
      {at !== null && (
        <div
          className="num pointer-events-none absolute top-1 z-10 rounded-lg border border-line bg-surface px-2.5 py-1.5 text-xs shadow-float"
          style={x(at) > width / 2 ? { right: width - x(at) + 10 } : { left: x(at) + 10 }}
        >
          <div className="text-ink-3">
            {xLabel} {Math.round(at).toLocaleString('en-US')}
          </div>
          {readings.map(
            ({ series: s, point }) =>
              point && (
                <div key={s.name} className="flex items-center gap-1.5">
                  <span className="size-2 rounded-full" style={{ background: s.color }} />
                  {s.name} <strong>{format(point.y)}</strong>
                </div>
              ),
          )}
        </div>
      )}
      {drawn.length > 1 && (
        <figcaption className="flex flex-wrap gap-4 pt-1 pl-13 text-xs text-ink-2">
          {drawn.map((s) => (
            <span key={s.name} className="inline-flex items-center gap-1.5">
              <span className="h-0.5 w-4 rounded" style={{ background: s.color }} aria-hidden />
              {s.name}
            </span>
          ))}
        </figcaption>
      )}
    </figure>
  )
}

/** From zero when that is not far away, so that small wiggles do not look large; else with some air. */
export function linearDomain(low: number, high: number): [number, number] {
  const spread = high - low || Math.abs(high) || 1
  const air = spread * 0.06
  if (low >= 0 && low < spread) return [0, high + air]
  return [low - air, high + air]
}

/** At least two ticks of 1, 2 and 5 times a power of ten between the ends. */
export function decades(low: number, high: number): number[] {
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of [1, 2, 5]) {
      const tick = factor * 10 ** power
      if (tick >= low * 0.9 && tick <= high * 1.1) ticks.push(tick)
    }
  }
  const tens = ticks.filter((t) => Number.isInteger(Math.round(Math.log10(t) * 1e6) / 1e6))
  return ticks.length > 6 && tens.length >= 2 ? tens : ticks
}

export function nearest<P extends { x: number }>(points: P[], x: number): P | undefined {
  let best: P | undefined
  for (const point of points) if (!best || Math.abs(point.x - x) < Math.abs(best.x - x)) best = point
  return best
}

function nearestX(points: { x: number }[], x: number): number | null {
  return nearest(points, x)?.x ?? null
}

function describe(label: string, series: Series[], format: (value: number) => string): string {
  const parts = series.map((s) => {
    const first = s.points[0]
    const last = s.points.at(-1)
    return first && last ? `${s.name} from ${format(first.y)} to ${format(last.y)}` : s.name
  })
  return `${label}: ${parts.join('; ')}`
}
