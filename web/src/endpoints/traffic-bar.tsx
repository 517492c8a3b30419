/** How an endpoint's traffic is split, as one bar with its legend. */
import { Link } from 'react-router'
import type { TrafficShare } from '../api/types'

const COLORS = ['bg-accent', 'bg-bronze', 'bg-line-strong', 'bg-good', 'bg-warn']

export function TrafficBar({ traffic, tall = false }: { traffic: TrafficShare[]; tall?: boolean }) {
  if (traffic.length === 0) return <p className="text-sm text-bad">This endpoint has no traffic set; calls to it fail.</p>
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <div className={`flex gap-0.5 overflow-hidden rounded-full bg-sunken ${tall ? 'h-4' : 'h-2.5'}`} aria-hidden>
        {traffic.map((share, i) => (
          <span
            key={share.release_id}
            className={`${COLORS[i % COLORS.length]} transition-[width] duration-500`}
            style={{ width: `${share.weight}%` }}
          />
        ))}
      </div>
      <ul className="flex flex-wrap gap-x-4 gap-y-0.5 text-sm" aria-label="Traffic split">
        {traffic.map((share, i) => (
          <li key={share.release_id} className="inline-flex min-w-0 items-center gap-1.5">
            <span className={`size-2 shrink-0 rounded-full ${COLORS[i % COLORS.length]}`} aria-hidden />
            <Link className="truncate hover:underline" to={`/releases/${share.release_id}`}>
              {share.release_name}
            </Link>
            <strong className="num">{share.weight}%</strong>
          </li>
        ))}
      </ul>
    </div>
  )
}

export function splitText(traffic: TrafficShare[]): string {
  return traffic.map((share) => `${share.release_name} ${share.weight}%`).join(', ') || 'no traffic'
}
