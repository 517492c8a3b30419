/**
 * Where a release came from, as a graph from traffic to traffic: traces and base model, dataset
 * version, training, adapter, release, endpoints. What a step needs stands in the column before
 * it. It runs from left to right, or from top to bottom on a narrow screen.
 */
import {
  ArrowRight,
  Boxes,
  Database,
  FlaskConical,
  GitBranch,
  type LucideIcon,
  MessagesSquare,
  Package,
  Puzzle,
  ShieldCheck,
} from 'lucide-react'
import { Link } from 'react-router'
import type { Lineage } from '../api/types'
import { count, plural, seconds } from '../format/number'
import { elapsedSeconds } from '../format/time'

export interface LineageNode {
  key: string
  kind: string
  icon: LucideIcon
  title: string
  detail: string
  to: string | null
  here?: boolean
}

type Serving = { endpoint: string; weight: number }[]

export function LineageGraph({ l, serving }: { l: Lineage; serving: Serving }) {
  return (
    <ol className="flex gap-1.5 max-lg:flex-col lg:items-stretch">
      {lineageColumns(l, serving).map((column, i) => (
        <li key={column[0]?.key} className="flex min-w-0 items-center gap-1.5 max-lg:flex-col max-lg:items-stretch lg:flex-1">
          {i > 0 && <ArrowRight className="size-4 shrink-0 self-center text-ink-3 max-lg:rotate-90" aria-label="leads to" />}
          <div className="flex h-full min-w-0 flex-1 flex-col justify-center gap-1.5">
            {column.map((node) => (
              <NodeCard key={node.key} node={node} />
            ))}
          </div>
        </li>
      ))}
    </ol>
  )
}

function NodeCard({ node }: { node: LineageNode }) {
  const Icon = node.icon
  const look = `flex min-w-0 flex-col gap-0.5 rounded-lg border px-3 py-2.5 ${node.here ? 'border-accent bg-accent-soft' : 'border-line bg-bg'}`
  const inside = (
    <>
      <span className={`flex items-center gap-1.5 text-xs ${node.here ? 'text-accent-strong' : 'text-ink-3'}`}>
        <Icon className="size-3.5 shrink-0" aria-hidden />
        {node.kind}
      </span>
      <span className="text-sm font-semibold break-words">{node.title}</span>
      <span className={`num text-xs break-words ${node.here ? 'text-ink-2' : 'text-ink-3'}`}>{node.detail}</span>
    </>
  )
  return node.to && !node.here ? (
    <Link to={node.to} className={`${look} hover:border-line-strong`}>
      {inside}
    </Link>
  ) : (
    <div className={look} aria-current={node.here ? 'true' : undefined}>
      {inside}
    </div>
  )
}

/** The columns that this release has; one without an adapter is short. */
export function lineageColumns(l: Lineage, serving: Serving): LineageNode[][] {
  return [traffic(l), inputs(l), training(l), product(l), [self(l)], serving.map(served)].filter((column) => column.length > 0)
}

function traffic(l: Lineage): LineageNode[] {
  if (!l.rows?.sample.some((row) => row.inference_id)) return []
  return [
    {
      key: 'traces',
      kind: 'Traces',
      icon: MessagesSquare,
      title: plural(l.rows.total, 'row'),
      detail: `${count(l.rows.corrections)} corrected`,
      to: '/traces?has_feedback=true',
    },
  ]
}

function inputs(l: Lineage): LineageNode[] {
  const nodes: LineageNode[] = []
  const version = l.dataset_version
  if (version)
    nodes.push({
      key: 'dataset',
      kind: 'Dataset',
      icon: Database,
      title: version.name,
      detail: `${count(version.rows.train)} training rows`,
      to: `/datasets/${encodeURIComponent(version.dataset)}/${version.version}`,
    })
  if (l.model)
    nodes.push({
      key: 'model',
      kind: 'Base model',
      icon: Boxes,
      title: l.model.ref,
      detail: l.model.license ?? '',
      to: `/models/${encodeURIComponent(l.model.ref)}`,
    })
  const upstream = l.release.bundle.upstream
  if (upstream) nodes.push({ key: 'upstream', kind: 'Upstream', icon: Boxes, title: upstream.model, detail: upstream.provider, to: null })
  return nodes
}

function training(l: Lineage): LineageNode[] {
  const job = l.training_job
  if (!job) return []
  const took = elapsedSeconds(job.started_at, job.ended_at, 0)
  return [
    {
      key: 'job',
      kind: 'Training',
      icon: FlaskConical,
      title: job.ended_at ? seconds(took) : job.state,
      detail: job.state,
      to: `/training/${job.id}`,
    },
  ]
}

function product(l: Lineage): LineageNode[] {
  const nodes: LineageNode[] = []
  if (l.adapter)
    nodes.push({
      key: 'adapter',
      kind: 'Adapter',
      icon: Puzzle,
      title: l.adapter.ref,
      detail: `LoRA on ${l.adapter.base ?? 'its base'}`,
      to: `/models/${encodeURIComponent(l.adapter.ref)}`,
    })
  const latest = l.evaluations[0]
  if (l.gate || latest) {
    const measured = plural(l.evaluations.length, 'evaluation')
    nodes.push({
      key: 'checks',
      kind: 'Checks',
      icon: ShieldCheck,
      title: l.gate ? (l.gate.passed ? 'gate passed' : 'gate not passed') : measured,
      detail: l.gate ? measured : 'no gate',
      to: latest ? `/evaluations/${latest.id}` : null,
    })
  }
  return nodes
}

function self(l: Lineage): LineageNode {
  return { key: 'release', kind: 'Release', icon: Package, title: l.release.name, detail: 'this one', to: null, here: true }
}

function served({ endpoint, weight }: Serving[number]): LineageNode {
  return {
    key: `endpoint-${endpoint}`,
    kind: 'Endpoint',
    icon: GitBranch,
    title: endpoint,
    detail: `${weight}% of its traffic`,
    to: `/endpoints/${encodeURIComponent(endpoint)}`,
  }
}
