/** The wheel with live numbers, and what is happening on it right now. */
import { useState } from 'react'
import { Link } from 'react-router'
import type { Job, Overview, Rollout } from '../api/types'
import { RequestBars } from '../charts/request-bars'
import { StageTrack } from '../endpoints/stage-track'
import { count, plural } from '../format/number'
import { Ago } from '../format/time'
import { JobProgress } from '../training/job-progress'
import { Badge, JobBadge, RolloutBadge } from '../ui/badge'
import { ButtonLink } from '../ui/button'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { Empty, QueryState, Skeleton } from '../ui/states'
import { useOverview } from './overview-queries'
import { lively, type Stage, STAGES, type StageView } from './stages'
import { Wheel } from './wheel'

export function OverviewPage() {
  const overview = useOverview()
  return (
    <Page title="Overview" description="Traffic in, better model out: what each stage of the wheel holds, and what it is doing now.">
      <QueryState query={overview} loading={<Loading />}>
        {(o) => <Content o={o} />}
      </QueryState>
    </Page>
  )
}

/** Requests of the last full minute, or of the running one when it already has more. */
export function requestsPerMinute(series: Overview['requests_series']): number {
  return Math.max(series.at(-1)?.count ?? 0, series.at(-2)?.count ?? 0)
}

function Content({ o }: { o: Overview }) {
  const [highlight, setHighlight] = useState<Stage | null>(null)
  const perMinute = requestsPerMinute(o.requests_series)
  const card = (stage: StageView) => <StageCard key={stage.id} stage={stage} o={o} onPoint={setHighlight} />
  const byId = (id: Stage) => STAGES.filter((s) => s.id === id).map(card)
  return (
    <>
      <section
        aria-label="The wheel"
        className="grid grid-cols-1 items-center gap-4 rounded-2xl border border-line bg-surface p-4 shadow-card sm:grid-cols-2 lg:grid-cols-[1fr_minmax(20rem,25rem)_1fr] lg:p-6"
      >
        <div className="flex min-w-0 flex-col gap-3 max-lg:order-2 lg:gap-4 max-sm:order-3">
          {byId('release')}
          {byId('evaluate')}
          {byId('tune')}
        </div>
        <div className="max-lg:order-1 sm:max-lg:col-span-2">
          <Wheel lively={lively(o, perMinute)} perMinute={perMinute} engine={o.engine.state} highlight={highlight} />
        </div>
        <div className="flex min-w-0 flex-col gap-3 max-lg:order-3 lg:gap-4 max-sm:order-2">
          {byId('serve')}
          {byId('observe')}
          {byId('curate')}
        </div>
      </section>
      <div className="grid grid-cols-1 gap-5 lg:grid-cols-2">
        <Card
          title="Requests per minute"
          className="lg:col-span-2"
          actions={
            <Link to="/traces" className="link text-sm">
              Open traces
            </Link>
          }
        >
          {o.serve.requests_24h > 0 ? <RequestBars series={o.requests_series} /> : <FirstRequest />}
        </Card>
        <LatestJob job={o.tune.latest} />
        <ActiveRollout rollout={o.release.active_rollouts[0] ?? null} />
        <Engine engine={o.engine} />
      </div>
    </>
  )
}

function StageCard({ stage, o, onPoint }: { stage: StageView; o: Overview; onPoint: (stage: Stage | null) => void }) {
  return (
    <Link
      to={stage.to}
      onPointerEnter={() => onPoint(stage.id)}
      onPointerLeave={() => onPoint(null)}
      onFocus={() => onPoint(stage.id)}
      onBlur={() => onPoint(null)}
      className="block min-w-0 rounded-xl border border-line bg-bg px-4 py-3 transition-colors hover:border-line-strong"
    >
      <h2 className="text-xs font-semibold tracking-wide text-accent capitalize">{stage.id}</h2>
      <p className="flex flex-wrap items-baseline gap-x-1.5">
        <span className="num text-2xl font-semibold">{stage.value(o)}</span>
        <span className="text-sm text-ink-2">{stage.unit(o)}</span>
      </p>
      <p className="line-clamp-2 text-xs break-words text-ink-3">{stage.detail(o)}</p>
    </Link>
  )
}

function FirstRequest() {
  const code = `curl ${window.location.origin}/v1/chat/completions \\
  -H 'content-type: application/json' \\
  -d '{"model":"ENDPOINT","messages":[{"role":"user","content":"Hello"}]}'`
  return (
    <Empty title="No requests yet">
      <p>
        Any OpenAI client works: point its base address at this server and name one of your endpoints as the model. Each call leaves one
        trace.
      </p>
      <Snippet code={code} />
    </Empty>
  )
}

function LatestJob({ job }: { job: Job | null }) {
  return (
    <Card title="Latest training" actions={job && <JobBadge state={job.state} />}>
      {job ? (
        <div className="flex flex-col gap-3">
          <div className="flex items-baseline justify-between gap-3 text-sm">
            <Link className="link min-w-0 truncate font-medium" to={`/training/${job.id}`}>
              {job.title}
            </Link>
            <span className="text-ink-3">
              <Ago at={job.created_at} />
            </span>
          </div>
          <JobProgress job={job} />
        </div>
      ) : (
        <div className="flex flex-col items-start gap-3 text-sm text-ink-2">
          <p>Nothing has been trained. With a dataset version, a fine-tune takes a minute or two.</p>
          <ButtonLink to="/training?new=1">New fine-tune</ButtonLink>
        </div>
      )}
    </Card>
  )
}

function ActiveRollout({ rollout }: { rollout: Rollout | null }) {
  return (
    <Card title="Active rollout" actions={rollout && <RolloutBadge state={rollout.state} />}>
      {rollout ? (
        <div className="flex flex-col gap-3 text-sm">
          <p>
            <Link className="link font-medium" to={`/endpoints/${encodeURIComponent(rollout.endpoint)}`}>
              {rollout.endpoint}
            </Link>{' '}
            <span className="text-ink-2">
              moves from {rollout.baseline_name} to {rollout.candidate_name}
            </span>
          </p>
          <StageTrack rollout={rollout} />
          <p className="text-ink-3">{rollout.decisions.at(-1)?.reason}</p>
        </div>
      ) : (
        <div className="flex flex-col items-start gap-3 text-sm text-ink-2">
          <p>No rollout is running; every endpoint serves the traffic split it was given.</p>
          <ButtonLink to="/endpoints">Open endpoints</ButtonLink>
        </div>
      )}
    </Card>
  )
}

function Engine({ engine }: { engine: Overview['engine'] }) {
  const tone = engine.state === 'ready' ? 'good' : engine.state === 'starting' ? 'warn' : 'bad'
  return (
    <Card title="Engine" className="lg:col-span-2" actions={<Badge tone={tone}>{engine.state}</Badge>}>
      <div className="flex flex-wrap gap-x-8 gap-y-2 text-sm">
        <NameList what="base model" names={engine.models} />
        <NameList what="adapter" names={engine.adapters} />
      </div>
    </Card>
  )
}

function NameList({ what, names }: { what: string; names: string[] }) {
  const shown = names.slice(0, 6)
  return (
    <p className="min-w-0">
      <span className="text-ink-3">{plural(names.length, what)}</span>
      {shown.map((name) => (
        <Link key={name} to={`/models/${encodeURIComponent(name)}`} className="link ml-2 font-mono text-xs">
          {name}
        </Link>
      ))}
      {names.length > shown.length && <span className="ml-2 text-ink-3">and {count(names.length - shown.length)} more</span>}
    </p>
  )
}

function Loading() {
  return (
    <div role="status" className="flex flex-col gap-5">
      <span className="sr-only">Loading</span>
      <Skeleton className="h-96 w-full" />
      <Skeleton className="h-36 w-full" />
    </div>
  )
}
