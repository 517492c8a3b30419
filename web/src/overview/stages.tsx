/** The six stages of the wheel and what the overview says about each. */
import type { ReactNode } from 'react'
import type { Overview } from '../api/types'
import { compact, count, milliseconds, percent, plural } from '../format/number'

export type Stage = 'serve' | 'observe' | 'curate' | 'tune' | 'evaluate' | 'release'

export interface StageView {
  id: Stage
  to: string
  value: (o: Overview) => string
  unit: (o: Overview) => string
  detail: (o: Overview) => ReactNode
}

/** In the order in which work passes through them, clockwise from the top. */
export const STAGES: StageView[] = [
  {
    id: 'serve',
    to: '/endpoints',
    value: (o) => compact(o.serve.requests_24h),
    unit: () => 'requests in 24 h',
    detail: (o) =>
      `${milliseconds(o.serve.latency_p50_ms)} median, ${milliseconds(o.serve.latency_p95_ms)} p95 · ${plural(o.serve.errors_24h, 'error')}`,
  },
  {
    id: 'observe',
    to: '/traces',
    value: (o) => compact(o.observe.traces),
    unit: () => 'traces kept',
    detail: (o) => `${count(o.observe.feedback)} with feedback · ${plural(o.observe.corrections, 'correction')}`,
  },
  {
    id: 'curate',
    to: '/datasets',
    value: (o) => compact(o.curate.rows),
    unit: () => 'dataset rows',
    detail: (o) => `${plural(o.curate.versions, 'version')} of ${plural(o.curate.datasets, 'dataset')}`,
  },
  {
    id: 'tune',
    to: '/training',
    value: (o) => count(o.tune.running > 0 ? o.tune.running : o.tune.succeeded),
    unit: (o) => (o.tune.running > 0 ? 'training now' : o.tune.succeeded === 1 ? 'model trained' : 'models trained'),
    detail: (o) => (o.tune.latest ? `last: ${o.tune.latest.title}` : 'no fine-tune yet'),
  },
  {
    id: 'evaluate',
    to: '/evaluations',
    value: (o) => (o.evaluate.latest ? percent(o.evaluate.latest.exact_match.value) : count(o.evaluate.evaluations)),
    unit: (o) => (o.evaluate.latest ? 'exact match, latest' : 'evaluations'),
    detail: (o) =>
      o.evaluate.latest ? `${o.evaluate.latest.name} · ${plural(o.evaluate.evaluations, 'evaluation')}` : 'nothing measured yet',
  },
  {
    id: 'release',
    to: '/models',
    value: (o) => (o.release.active_rollouts[0] ? `${o.release.active_rollouts[0].weight}%` : count(o.release.releases)),
    unit: (o) => (o.release.active_rollouts[0] ? 'to the candidate' : 'releases'),
    detail: (o) => `${plural(o.release.releases, 'release')} · ${plural(o.release.endpoints, 'endpoint')}`,
  },
]

/** Which segments glow: work in progress in bronze, a flow of requests in the accent color. */
export function lively(o: Overview, perMinute: number): Partial<Record<Stage, 'flow' | 'work'>> {
  const latest = o.tune.latest
  return {
    ...(perMinute > 0 ? { serve: 'flow', observe: 'flow' } : {}),
    ...(o.tune.running > 0 || latest?.state === 'running' ? { tune: 'work' } : {}),
    ...(o.release.active_rollouts.length > 0 ? { release: 'work' } : {}),
  }
}
