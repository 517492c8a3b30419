/** One model or adapter: card, files, and where it came from. */
import { Link, useParams } from 'react-router'
import type { Model } from '../api/types'
import { shortDigest } from '../format/names'
import { bytes } from '../format/number'
import { exact } from '../format/time'
import { Badge } from '../ui/badge'
import { ButtonLink } from '../ui/button'
import { Markdown } from '../ui/markdown'
import { Card, Facts, Page } from '../ui/page'
import { QueryState } from '../ui/states'
import { Table } from '../ui/table'
import { DatasetLink } from './model-list-page'
import { useModel } from './model-queries'

export function ModelPage() {
  const { ref = '' } = useParams()
  const model = useModel(ref)
  return (
    <Page
      title={ref}
      back={{ to: '/models?tab=models', label: 'Models' }}
      actions={
        model.data && (
          <>
            <ButtonLink to={`/evaluations?new=1&adapter=${encodeURIComponent(model.data.ref)}`}>Evaluate</ButtonLink>
            <ButtonLink look="primary" to={`/models?tab=releases&new=1&adapter=${encodeURIComponent(model.data.ref)}`}>
              Create a release
            </ButtonLink>
          </>
        )
      }
    >
      <QueryState query={model}>{(m) => <Content m={m} />}</QueryState>
    </Page>
  )
}

function Content({ m }: { m: Model }) {
  return (
    <div className="grid grid-cols-1 items-start gap-5 lg:grid-cols-[minmax(0,1fr)_22rem]">
      <Card title="Card">{m.card ? <Markdown text={m.card} /> : <p className="text-sm text-ink-2">This model has no card.</p>}</Card>
      <div className="flex min-w-0 flex-col gap-5">
        <Card title="Details">
          <Facts
            columns="grid-cols-2"
            facts={[
              [
                'Kind',
                <Badge key="kind" tone={m.kind === 'base' ? 'accent' : 'bronze'}>
                  {m.kind}
                </Badge>,
              ],
              ['Size', bytes(m.size_bytes)],
              [
                'Base',
                m.base && (
                  <Link className="link" to={`/models/${encodeURIComponent(m.base)}`}>
                    {m.base}
                  </Link>
                ),
              ],
              ['License', m.license],
              ['Trained on', m.lineage?.dataset ? <DatasetLink key="d" name={m.lineage.dataset} /> : null],
              [
                'Training job',
                m.lineage?.job_id && (
                  <Link className="link" to={`/training/${m.lineage.job_id}`}>
                    open
                  </Link>
                ),
              ],
              ['Created', exact(m.created_at)],
              [
                'Digest',
                <span key="digest" className="font-mono text-xs" title={m.digest}>
                  {shortDigest(m.digest)}
                </span>,
              ],
            ]}
          />
        </Card>
        {m.lineage?.hyperparameters && (
          <Card title="Hyperparameters">
            <Hyperparameters values={m.lineage.hyperparameters} />
          </Card>
        )}
        <Card title="Files" flush>
          <Table
            label="Files"
            rows={m.files}
            rowKey={(f) => f.path}
            columns={[
              { header: 'Path', cell: (f) => <span className="font-mono text-xs break-all">{f.path}</span> },
              { header: 'Size', align: 'right', cell: (f) => bytes(f.size), className: 'whitespace-nowrap' },
            ]}
          />
        </Card>
      </div>
    </div>
  )
}

export function Hyperparameters({ values }: { values: Record<string, unknown> }) {
  const facts = Object.entries(values).flatMap(([name, value]): [string, string][] => {
    const text = scalarText(value)
    return text === null ? [] : [[name.replaceAll('_', ' '), text]]
  })
  return <Facts columns="grid-cols-2" facts={facts} />
}

/** Numbers, texts and flags as they read best; nothing for what is not a single value. */
function scalarText(value: unknown): string | null {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))
  if (typeof value === 'string') return value
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : null
}
