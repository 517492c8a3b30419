/** One call in full: conversation, answer, timings, route, feedback, and the raw bytes' JSON. */
import { useState } from 'react'
import { Link, useParams } from 'react-router'
import type { Trace } from '../api/types'
import { contentText, shortId } from '../format/names'
import { cost, count, milliseconds } from '../format/number'
import { exact } from '../format/time'
import { Badge, TraceBadge } from '../ui/badge'
import { Json } from '../ui/json'
import { Card, Facts, Page } from '../ui/page'
import { QueryState } from '../ui/states'
import { Table } from '../ui/table'
import { Tabs } from '../ui/tabs'
import { Conversation } from './conversation'
import { FeedbackPanel } from './feedback-panel'
import { TimingBar } from './timing-bar'
import { useTrace } from './trace-queries'

export function TracePage() {
  const { id = '' } = useParams()
  const trace = useTrace(id)
  return (
    <Page
      title={`Trace ${shortId(id)}`}
      back={{ to: '/traces', label: 'Traces' }}
      description={<span className="font-mono text-xs break-all">{id}</span>}
      actions={trace.data && <TraceBadge status={trace.data.status} />}
    >
      <QueryState query={trace}>{(t) => <Content t={t} />}</QueryState>
    </Page>
  )
}

function Content({ t }: { t: Trace }) {
  const [tab, setTab] = useState('conversation')
  return (
    <div className="grid grid-cols-1 items-start gap-5 lg:grid-cols-[minmax(0,1fr)_22rem]">
      <div className="flex min-w-0 flex-col gap-5">
        <Card flush>
          <Tabs
            label="Parts of the trace"
            value={tab}
            onChange={setTab}
            tabs={[
              { value: 'conversation', label: 'Conversation', content: <Conversation trace={t} /> },
              { value: 'route', label: 'Route', content: <Route t={t} /> },
              {
                value: 'raw',
                label: 'Raw JSON',
                content: (
                  <div className="flex flex-col gap-4">
                    <h3 className="text-sm font-semibold">Request</h3>
                    <Json value={t.request} label="Request JSON" />
                    <h3 className="text-sm font-semibold">Response</h3>
                    <Json value={t.response} label="Response JSON" />
                  </div>
                ),
              },
            ]}
          />
        </Card>
      </div>
      <div className="flex min-w-0 flex-col gap-5">
        <FeedbackPanel trace={t} />
        <Card title="Timing">
          <TimingBar latency={t.latency_ms} ttft={t.ttft_ms} completionTokens={t.completion_tokens} />
        </Card>
        <Card title="Details">
          <Facts
            columns="grid-cols-2"
            facts={[
              ['Started', exact(t.started_at)],
              [
                'Endpoint',
                t.endpoint && (
                  <Link className="link" to={`/endpoints/${encodeURIComponent(t.endpoint)}`}>
                    {t.endpoint}
                  </Link>
                ),
              ],
              [
                'Release',
                t.release_id && (
                  <Link className="link" to={`/releases/${t.release_id}`}>
                    {t.release_name ?? shortId(t.release_id)}
                  </Link>
                ),
              ],
              ['Model', t.model && <span className="font-mono text-xs">{t.model}</span>],
              ['Prompt tokens', count(t.prompt_tokens)],
              ['Completion tokens', count(t.completion_tokens)],
              ['Cost', cost(t.cost_nanousd)],
              ['Streamed', t.streamed ? 'yes' : 'no'],
              ['Error', t.error_code],
              ['Configuration', t.config_hash && <span className="font-mono text-xs">{t.config_hash.slice(0, 16)}</span>],
              [
                'Trace id',
                <span key="trace" className="font-mono text-xs break-all">
                  {t.trace_id}
                </span>,
              ],
            ]}
          />
          {Object.keys(t.tags ?? {}).length > 0 && (
            <div className="mt-3 flex flex-wrap gap-1.5">
              {Object.entries(t.tags).map(([key, value]) => (
                <Badge key={key}>
                  {key}: {contentText(value)}
                </Badge>
              ))}
            </div>
          )}
        </Card>
      </div>
    </div>
  )
}

function Route({ t }: { t: Trace }) {
  if (!t.route) return <p className="text-sm text-ink-2">No route was recorded.</p>
  return (
    <div className="flex flex-col gap-3">
      {t.route.reason && <p className="text-sm text-ink-2">{t.route.reason}</p>}
      <Table
        label="Attempts"
        rows={(t.route.attempts ?? []).map((attempt, i) => ({ ...attempt, at: i + 1 }))}
        rowKey={(attempt) => String(attempt.at)}
        columns={[
          { header: '#', cell: (a) => a.at },
          { header: 'Target', cell: (a) => <span className="font-mono text-xs">{a.target}</span> },
          {
            header: 'Status',
            cell: (a) => (a.error ? <Badge tone="bad">{a.status ?? 'failed'}</Badge> : <Badge tone="good">{a.status ?? 'ok'}</Badge>),
          },
          { header: 'Error', cell: (a) => a.error ?? '–' },
          { header: 'Latency', align: 'right', cell: (a) => milliseconds(a.latency_ms) },
        ]}
      />
    </div>
  )
}
