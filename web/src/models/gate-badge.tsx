/** Whether a release's gate passed, or that it has none. */
import type { Release } from '../api/types'
import { Badge } from '../ui/badge'
import { useGateOf } from './model-queries'

export function GateBadge({ gate: named }: { gate: Release['gate'] }) {
  const gate = useGateOf(named)
  if (!gate) return <span className="text-ink-3">none</span>
  if (typeof gate === 'string') return <Badge tone="accent">decided</Badge>
  return gate.passed ? <Badge tone="good">passed</Badge> : <Badge tone="bad">not passed</Badge>
}
