/**
 * The wheel as a picture: six stages that hand work to each other, turning while there is traffic.
 * It repeats what the cards beside it say, so for a screen reader it is one image.
 */
import { STAGES, type Stage } from './stages'

const CENTER = 200
const OUTER = 192
const INNER = 136
const MIDDLE = (OUTER + INNER) / 2
const GAP = 1.6
const TIP = 6

export interface WheelProps {
  lively: Partial<Record<Stage, 'flow' | 'work'>>
  perMinute: number
  engine: string
  highlight: Stage | null
}

export function Wheel({ lively, perMinute, engine, highlight }: WheelProps) {
  const turning = perMinute > 0
  return (
    <svg
      viewBox="0 0 400 400"
      className="mx-auto block w-full max-w-[25rem]"
      role="img"
      aria-label={`The wheel: ${STAGES.map((s) => s.id).join(', ')}, and again. ${perMinute} requests in the last minute.`}
    >
      <g className={turning ? 'wheel-turning' : ''} style={{ transformBox: 'view-box' }}>
        {Array.from({ length: 18 }, (_, i) => (
          <g key={i} transform={`rotate(${i * 20} ${CENTER} ${CENTER})`}>
            <path d={`M${CENTER - 3} 97 L${CENTER - 6} 118 h12 L${CENTER + 3} 97z`} fill="var(--line)" />
            <path d={BUCKET} fill="var(--sunken)" stroke="var(--line-strong)" strokeWidth={1.3} strokeLinejoin="round" />
          </g>
        ))}
      </g>
      <circle cx={CENTER} cy={CENTER} r={86} fill="var(--line)" />
      <circle cx={CENTER} cy={CENTER} r={80} fill="var(--surface)" />
      {STAGES.map((stage, i) => {
        const from = -90 + i * 60 + GAP
        const state = lively[stage.id]
        const strong = highlight === stage.id
        const fill = state === 'work' ? 'var(--bronze)' : state === 'flow' ? 'var(--accent)' : 'var(--sunken)'
        const ink = state === 'work' ? 'var(--bronze-soft)' : state === 'flow' ? 'var(--accent-ink)' : 'var(--ink-2)'
        const flipped = i === 2 || i === 3
        return (
          <g key={stage.id}>
            <path
              d={segment(from, from + 60 - 2 * GAP)}
              fill={fill}
              stroke={strong ? 'var(--ink)' : state ? fill : 'var(--line)'}
              strokeWidth={strong ? 2.5 : 1}
            />
            <path id={`arc-${stage.id}`} d={textArc(from + TIP / 2, from + 60 - 2 * GAP + TIP / 2, flipped)} fill="none" />
            <text className="text-[17px] font-semibold" fill={ink} textAnchor="middle">
              <textPath href={`#arc-${stage.id}`} startOffset="50%">
                {stage.id}
              </textPath>
            </text>
          </g>
        )
      })}
      <text x={CENTER} y={CENTER - 6} textAnchor="middle" className="num fill-ink text-[44px] font-semibold tracking-tight">
        {perMinute}
      </text>
      <text x={CENTER} y={CENTER + 18} textAnchor="middle" className="fill-ink-3 text-[13px]">
        requests a minute
      </text>
      <g transform={`translate(${CENTER} ${CENTER + 44})`}>
        <text
          textAnchor="middle"
          className="text-[13px] font-medium"
          fill={engine === 'ready' ? 'var(--good)' : engine === 'starting' ? 'var(--warn)' : 'var(--bad)'}
        >
          engine {engine}
        </text>
      </g>
    </svg>
  )
}

/** A bucket of a Pelton runner at twelve o'clock, from the front: two cups with the splitter between them. */
const BUCKET = `M${CENTER} 79 q-10 -3 -10.5 7 q0.5 12 10.5 12 q10 0 10.5 -12 q-0.5 -10 -10.5 -7z M${CENTER} 79 v19`

function point(angle: number, radius: number): string {
  const radians = (angle * Math.PI) / 180
  return `${(CENTER + radius * Math.cos(radians)).toFixed(2)} ${(CENTER + radius * Math.sin(radians)).toFixed(2)}`
}

/** A piece of the ring whose end points into the notch of the next one. */
function segment(from: number, to: number): string {
  return [
    `M${point(from, OUTER)}`,
    `A${OUTER} ${OUTER} 0 0 1 ${point(to, OUTER)}`,
    `L${point(to + TIP, MIDDLE)}`,
    `L${point(to, INNER)}`,
    `A${INNER} ${INNER} 0 0 0 ${point(from, INNER)}`,
    `L${point(from + TIP, MIDDLE)}Z`,
  ].join('')
}

/** The line that a stage's name stands on; below the center it runs the other way, so that no name is upside down. */
function textArc(from: number, to: number, flipped: boolean): string {
  const radius = flipped ? MIDDLE + 6 : MIDDLE - 6
  return flipped
    ? `M${point(to, radius)}A${radius} ${radius} 0 0 0 ${point(from, radius)}`
    : `M${point(from, radius)}A${radius} ${radius} 0 0 1 ${point(to, radius)}`
}
