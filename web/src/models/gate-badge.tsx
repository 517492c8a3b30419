import type { Release } from '../api/types'
import { Badge } from '../ui/badge'

/** A release may carry its gate in full or by id only; both say that there is one. */
export function GateBadge({ gate }: { gate: Release['gate'] }) {
  if (!gate) return <span className="text-ink-3">none</span>
  if (typeof gate === 'string') return <Badge tone="accent">decided</Badge>
  return gate.passed ? <Badge tone="good">passed</Badge> : <Badge tone="bad">not passed</Badge>
}
