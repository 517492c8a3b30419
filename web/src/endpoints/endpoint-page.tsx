/** One endpoint: its split, its rollout with every decision, promote and roll back, and its history. */
import { Undo2 } from 'lucide-react'
import { useState } from 'react'
import { useParams } from 'react-router'
import type { Endpoint, Rollout } from '../api/types'
import { Ago } from '../format/time'
import { RolloutBadge } from '../ui/badge'
import { Button, ButtonLink } from '../ui/button'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { QueryState } from '../ui/states'
import { Table } from '../ui/table'
import { DecisionLog } from './decision-log'
import { PromoteDialog, RollBackDialog } from './end-dialogs'
import { useEndpoint, useRollouts } from './endpoint-queries'
import { RolloutDialog } from './rollout-dialog'
import { StageTrack } from './stage-track'
import { splitText, TrafficBar } from './traffic-bar'
import { TrafficDialog } from './traffic-dialog'

type Open = 'rollout' | 'traffic' | 'promote' | 'rollback' | null

export function EndpointPage() {
  const { name = '' } = useParams()
  const endpoint = useEndpoint(name)
  const rollouts = useRollouts()
  const [open, setOpen] = useState<Open>(null)
  const close = () => setOpen(null)
  const e = endpoint.data
  const past = rollouts.data?.items.filter((r) => r.endpoint === name && r.id !== e?.rollout?.id) ?? []
  const running = e?.rollout?.state === 'running' ? e.rollout : null
  return (
    <Page
      title={name}
      back={{ to: '/endpoints', label: 'Endpoints' }}
      description={
        e && (
          <>
            Generation {e.generation}, changed <Ago at={e.updated_at} />
          </>
        )
      }
      actions={
        e && (
          <>
            <ButtonLink look="quiet" to={`/traces?endpoint=${encodeURIComponent(name)}`}>
              Its traces
            </ButtonLink>
            <Button onClick={() => setOpen('traffic')} disabled={running !== null} title={running ? 'End the rollout first' : undefined}>
              Set traffic
            </Button>
            {(running || e.history.length > 1) && (
              <Button look="danger" icon={<Undo2 className="size-4" aria-hidden />} onClick={() => setOpen('rollback')}>
                Roll back
              </Button>
            )}
            {running ? (
              <Button look="primary" onClick={() => setOpen('promote')}>
                Promote
              </Button>
            ) : (
              <Button look="primary" onClick={() => setOpen('rollout')}>
                Start a rollout
              </Button>
            )}
          </>
        )
      }
    >
      <QueryState query={endpoint}>{(data) => <Content e={data} past={past} />}</QueryState>
      {e && open === 'traffic' && <TrafficDialog endpoint={e} onClose={close} />}
      {e && open === 'rollout' && <RolloutDialog endpoint={e.name} candidate="" onClose={close} />}
      {e && open === 'rollback' && <RollBackDialog endpoint={e} onClose={close} />}
      {running && open === 'promote' && <PromoteDialog rollout={running} onClose={close} />}
    </Page>
  )
}

function Content({ e, past }: { e: Endpoint; past: Rollout[] }) {
  return (
    <>
      <Card title="Traffic now">
        <TrafficBar traffic={e.traffic} tall />
      </Card>
      {e.rollout && <RolloutCard rollout={e.rollout} />}
      <div className="grid grid-cols-1 items-start gap-5 lg:grid-cols-2">
        <Card title="History" flush>
          <Table
            label="History"
            rows={e.history}
            rowKey={(h) => String(h.generation)}
            columns={[
              { header: 'Generation', align: 'right', cell: (h) => h.generation },
              { header: 'Split', cell: (h) => splitText(h.traffic), className: 'min-w-44' },
              { header: 'Why', cell: (h) => [h.reason, h.by && `by ${h.by}`].filter(Boolean).join(', ') || '–', className: 'text-ink-2' },
              { header: 'When', cell: (h) => <Ago at={h.at} />, className: 'text-ink-2' },
            ]}
          />
        </Card>
        <div className="flex min-w-0 flex-col gap-5">
          {past.slice(0, 3).map((rollout) => (
            <RolloutCard key={rollout.id} rollout={rollout} />
          ))}
          <Card title="Call it">
            <Snippet
              label="Request"
              code={`curl ${window.location.origin}/v1/chat/completions \\
  -H 'content-type: application/json' \\
  -d '{"model":"${e.name}","messages":[{"role":"user","content":"Hello"}]}'`}
            />
          </Card>
        </div>
      </div>
    </>
  )
}

function RolloutCard({ rollout }: { rollout: Rollout }) {
  const running = rollout.state === 'running'
  return (
    <Card title={`${running ? 'Rollout' : 'Past rollout'} of ${rollout.candidate_name}`} actions={<RolloutBadge state={rollout.state} />}>
      <div className="flex flex-col gap-4">
        <p className="text-sm text-ink-2">
          against {rollout.baseline_name}, started <Ago at={rollout.started_at} />
          {rollout.reason && `. ${rollout.reason}`}
        </p>
        {running && <StageTrack rollout={rollout} />}
        {running ? (
          <DecisionLog decisions={rollout.decisions} />
        ) : (
          <details>
            <summary className="text-sm text-ink-2">{rollout.decisions.length} decisions</summary>
            <div className="mt-3">
              <DecisionLog decisions={rollout.decisions} />
            </div>
          </details>
        )}
      </div>
    </Card>
  )
}
