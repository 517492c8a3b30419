/** One release: what it is made of, and the way from it back to the rows that trained it. */
import { Link, useParams } from 'react-router'
import type { Lineage } from '../api/types'
import { useEndpoints } from '../endpoints/endpoint-queries'
import { GateRules } from '../evaluations/gate-dialog'
import { shortDigest, suiteName } from '../format/names'
import { count, percent } from '../format/number'
import { exact } from '../format/time'
import { ButtonLink } from '../ui/button'
import { Json } from '../ui/json'
import { Card, Facts, Page } from '../ui/page'
import { QueryState } from '../ui/states'
import { Table } from '../ui/table'
import { GateBadge } from './gate-badge'
import { LineageGraph } from './lineage-graph'
import { Hyperparameters } from './model-page'
import { useLineage } from './model-queries'

export function ReleasePage() {
  const { id = '' } = useParams()
  const lineage = useLineage(id)
  const release = lineage.data?.release
  return (
    <Page
      title={release?.name ?? 'Release'}
      back={{ to: '/models', label: 'Releases' }}
      description={release && `Created ${exact(release.created_at)}. It never changes.`}
      actions={
        release && (
          <>
            <ButtonLink to={`/traces?release=${release.id}`}>Its traces</ButtonLink>
            <ButtonLink look="primary" to={`/endpoints?rollout=${release.id}`}>
              Roll it out
            </ButtonLink>
          </>
        )
      }
    >
      <QueryState query={lineage}>{(l) => <Content l={l} />}</QueryState>
    </Page>
  )
}

function Content({ l }: { l: Lineage }) {
  const endpoints = useEndpoints()
  const serving =
    endpoints.data?.items.flatMap((e) =>
      e.traffic.filter((t) => t.release_id === l.release.id && t.weight > 0).map((t) => ({ endpoint: e.name, weight: t.weight })),
    ) ?? []
  const { sampling, system_prompt: prompt } = l.release.bundle
  return (
    <>
      <Card title="Lineage">
        <LineageGraph l={l} serving={serving} />
      </Card>
      <div className="grid grid-cols-1 items-start gap-5 lg:grid-cols-2">
        <Card title="Bundle">
          <Facts
            columns="grid-cols-2"
            facts={[
              [
                'Digest',
                <span key="digest" className="font-mono text-xs" title={l.release.digest}>
                  {shortDigest(l.release.digest)}
                </span>,
              ],
              ['Serving', serving.length > 0 ? serving.map((s) => `${s.endpoint} ${s.weight}%`).join(', ') : 'no traffic'],
              ...Object.entries(sampling ?? {}).flatMap(([name, value]): [string, string][] =>
                value === null || value === undefined ? [] : [[name.replaceAll('_', ' '), String(value)]],
              ),
              [
                'System prompt',
                prompt ? (
                  <span key="prompt" className="whitespace-pre-wrap">
                    {prompt}
                  </span>
                ) : null,
              ],
            ]}
          />
          <details className="mt-3">
            <summary className="text-sm text-ink-2">As JSON</summary>
            <div className="mt-2">
              <Json value={l.release.bundle} label="Bundle JSON" />
            </div>
          </details>
        </Card>
        <Card title="Gate" actions={<GateBadge gate={l.gate ?? l.release.gate} />}>
          {l.gate ? (
            <GateRules gate={l.gate} />
          ) : (
            <p className="text-sm text-ink-2">No gate was decided for this release. Compare two evaluations to decide one.</p>
          )}
        </Card>
        <Card title="Evaluations" flush>
          {l.evaluations.length > 0 ? (
            <Table
              label="Evaluations"
              rows={l.evaluations}
              rowKey={(e) => e.id}
              columns={[
                {
                  header: 'Evaluation',
                  cell: (e) => (
                    <Link className="link" to={`/evaluations/${e.id}`}>
                      {e.name}
                    </Link>
                  ),
                },
                { header: 'Suite', cell: (e) => suiteName(e.suite) },
                { header: 'Exact match', align: 'right', cell: (e) => percent(e.exact_match.value) },
                { header: 'Items', align: 'right', cell: (e) => count(e.n) },
              ]}
            />
          ) : (
            <p className="px-4 pt-1 pb-4 text-sm text-ink-2">Nothing measured for this bundle yet.</p>
          )}
        </Card>
        <Card title="Training data">
          {l.rows && l.rows.total > 0 ? (
            <>
              <p className="text-sm">
                <strong className="num">{count(l.rows.total)}</strong> rows, <strong className="num">{count(l.rows.corrections)}</strong> of
                them corrected by people or the application.
              </p>
              {l.hyperparameters && (
                <div className="mt-3">
                  <Hyperparameters values={l.hyperparameters} />
                </div>
              )}
              <h3 className="mt-4 mb-1 text-sm font-semibold">A sample of the rows</h3>
              <ul className="flex flex-wrap gap-x-4 gap-y-1 font-mono text-xs">
                {l.rows.sample.map((row) => (
                  <li key={row.hash}>
                    {row.inference_id ? (
                      <Link className="link" to={`/traces/${row.inference_id}`}>
                        {shortDigest(row.hash)}
                      </Link>
                    ) : (
                      shortDigest(row.hash)
                    )}
                  </li>
                ))}
              </ul>
            </>
          ) : (
            <p className="text-sm text-ink-2">No adapter was trained for this release, so no rows lead to it.</p>
          )}
        </Card>
      </div>
    </>
  )
}
