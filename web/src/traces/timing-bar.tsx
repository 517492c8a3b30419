/** Where the time of a call went: until the first token, and after it. */
import { milliseconds } from '../format/number'

interface TimingBarProps {
  latency: number | null
  ttft: number | null
  completionTokens: number | null
}

export function TimingBar({ latency, ttft, completionTokens }: TimingBarProps) {
  if (latency === null) return <p className="text-sm text-ink-2">No timing was recorded.</p>
  const first = ttft === null ? null : Math.min(ttft, latency)
  const rest = first === null ? null : latency - first
  const rate =
    completionTokens && rest !== null && rest > 0 && completionTokens > 1
      ? ((completionTokens - 1) / rest) * 1000
      : completionTokens && rest === null
        ? (completionTokens / latency) * 1000
        : null
  return (
    <div className="flex flex-col gap-2 text-sm">
      <p className="num">
        <span className="text-2xl font-semibold">{milliseconds(latency)}</span>
        {rate !== null && <span className="ml-2 text-xs text-ink-3">{Math.round(rate)} tokens/s</span>}
      </p>
      <div className="flex h-3 overflow-hidden rounded-full bg-sunken" aria-hidden>
        {first !== null && <span className="bg-bronze" style={{ width: `${(first / latency) * 100}%` }} />}
        <span className="flex-1 bg-accent" />
      </div>
      {first !== null ? (
        <div className="num flex flex-wrap justify-between gap-x-3 text-xs text-ink-2">
          <span className="inline-flex items-center gap-1.5">
            <span className="size-2 rounded-full bg-bronze" aria-hidden /> first token {milliseconds(first)}
          </span>
          <span className="inline-flex items-center gap-1.5">
            <span className="size-2 rounded-full bg-accent" aria-hidden /> the rest {milliseconds(rest)}
          </span>
        </div>
      ) : (
        <p className="text-xs text-ink-3">Not streamed, so there is no time to the first token.</p>
      )}
    </div>
  )
}
