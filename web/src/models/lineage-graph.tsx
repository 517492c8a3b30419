/**
 * Where a release came from, as a path from traffic to traffic: traces, dataset version, training
 * job, adapter, release, endpoints. It runs from left to right, or from top to bottom on a phone.
 */
import { ArrowRight, Boxes, Database, FlaskConical, GitBranch, type LucideIcon, MessagesSquare, Package, Puzzle } from 'lucide-react'
import { Link } from 'react-router'
import type { Lineage } from '../api/types'
import { count, seconds } from '../format/number'
import { elapsedSeconds } from '../format/time'

interface Node {
  key: string
  kind: string
  icon: LucideIcon
  title: string
  detail: string
  to: string | null
  here?: boolean
}

export function LineageGraph({ l, serving }: { l: Lineage; serving: { endpoint: string; weight: number }[] }) {
  const nodes = lineageNodes(l, serving)
  return (
    <ol className="flex gap-1.5 max-lg:flex-col lg:items-stretch">
      {nodes.map((node, i) => (
        <li key={node.key} className="flex min-w-0 items-center gap-1.5 max-lg:flex-col max-lg:items-stretch lg:flex-1">
          {i > 0 && <ArrowRight className="size-4 shrink-0 self-center text-ink-3 max-lg:rotate-90" aria-label="leads to" />}
          <NodeCard node={node} />
        </li>
      ))}
    </ol>
  )
}

function NodeCard({ node }: { node: Node }) {
  const Icon = node.icon
  const look = `flex h-full min-w-0 flex-1 flex-col gap-0.5 rounded-lg border px-3 py-2.5 ${node.here ? 'border-accent bg-accent-soft' : 'border-line bg-bg'}`
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

export function lineageNodes(l: Lineage, serving: { endpoint: string; weight: number }[]): Node[] {
  const nodes: Node[] = []
  const version = l.dataset_version
  if (version) {
    if (l.rows?.sample.some((row) => row.inference_id)) {
      nodes.push({ key: 'traces', kind: 'Traces', icon: MessagesSquare, title: `${count(l.rows.total)} rows`, detail: `${count(l.rows.corrections)} corrected`, to: '/traces?has_feedback=true' })
    }
    nodes.push({ key: 'dataset', kind: 'Dataset version', icon: Database, title: version.name, detail: `${count(version.rows.train)} training rows`, to: `/datasets/${encodeURIComponent(version.dataset)}/${version.version}` })
  }
  const job = l.training_job
  if (job) {
    const took = elapsedSeconds(job.started_at, job.ended_at, Date.now())
    nodes.push({ key: 'job', kind: 'Training', icon: FlaskConical, title: job.state, detail: job.ended_at ? `in ${seconds(took)}` : 'not finished', to: `/training/${job.id}` })
  }
  if (l.model) nodes.push({ key: 'model', kind: 'Base model', icon: Boxes, title: l.model.ref, detail: l.model.license ?? '', to: `/models/${encodeURIComponent(l.model.ref)}` })
  if (l.adapter) nodes.push({ key: 'adapter', kind: 'Adapter', icon: Puzzle, title: l.adapter.ref, detail: `on ${l.adapter.base ?? 'its base'}`, to: `/models/${encodeURIComponent(l.adapter.ref)}` })
  const upstream = l.release.bundle.upstream
  if (upstream) nodes.push({ key: 'upstream', kind: 'Upstream', icon: Boxes, title: upstream.model, detail: upstream.provider, to: null })
  nodes.push({ key: 'release', kind: 'Release', icon: Package, title: l.release.name, detail: 'this one', to: null, here: true })
  for (const { endpoint, weight } of serving) {
    nodes.push({ key: `endpoint-${endpoint}`, kind: 'Endpoint', icon: GitBranch, title: endpoint, detail: `${weight}% of its traffic`, to: `/endpoints/${encodeURIComponent(endpoint)}` })
  }
  return nodes
}
