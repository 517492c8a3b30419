/** One version of a dataset: what went in, what was dropped, what the rows look like. */
import { Download, Plus } from 'lucide-react'
import { useState } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { download, path } from '../api/client'
import type { DatasetDetail, DatasetVersion } from '../api/types'
import { BarList } from '../charts/bar-list'
import { shortDigest } from '../format/names'
import { count, plural } from '../format/number'
import { exact } from '../format/time'
import { Button, ButtonLink } from '../ui/button'
import { SelectField } from '../ui/field'
import { Json } from '../ui/json'
import { Markdown } from '../ui/markdown'
import { Card, Facts, Page } from '../ui/page'
import { ScrollBox } from '../ui/scroll-box'
import { Empty, QueryState } from '../ui/states'
import { Table } from '../ui/table'
import { Tabs } from '../ui/tabs'
import { useToast } from '../ui/toast'
import { BuildDialog } from './build-dialog'
import { useDataset } from './dataset-queries'
import { RowBrowser } from './row-browser'
import { SplitSizes } from './split-sizes'

export function DatasetPage() {
  const { name = '', version } = useParams()
  const dataset = useDataset(name)
  const [building, setBuilding] = useState(false)
  const shown =
    dataset.data &&
    (version ? dataset.data.all_versions.find((v) => String(v.version) === version) : (dataset.data.latest ?? dataset.data.all_versions[0]))
  return (
    <Page
      title={shown?.name ?? name}
      back={{ to: '/datasets', label: 'Datasets' }}
      description={shown && `Built ${exact(shown.created_at)}`}
      actions={
        <>
          <Button icon={<Plus className="size-4" aria-hidden />} onClick={() => setBuilding(true)}>
            Build the next version
          </Button>
          {shown && (
            <ButtonLink look="primary" to={`/training?new=1&dataset=${encodeURIComponent(shown.name)}`}>
              Fine-tune on it
            </ButtonLink>
          )}
        </>
      }
    >
      <QueryState query={dataset}>
        {(d) =>
          shown ? (
            <Version key={shown.id} dataset={d} v={shown} />
          ) : (
            <Empty
              title={version ? `There is no version ${version}` : 'No version yet'}
              action={<Button onClick={() => setBuilding(true)}>Build a version</Button>}
            >
              <p>
                {version
                  ? `The newest is ${d.latest?.name ?? 'not built yet'}.`
                  : 'A build that fails leaves nothing behind; its job says why.'}
              </p>
            </Empty>
          )
        }
      </QueryState>
      {building && <BuildDialog name={name} onClose={() => setBuilding(false)} />}
    </Page>
  )
}

function Version({ dataset, v }: { dataset: DatasetDetail; v: DatasetVersion }) {
  const navigate = useNavigate()
  const toast = useToast()
  const [tab, setTab] = useState('rows')
  const total = v.rows.train + v.rows.validation + v.rows.test
  const dropped = Object.values(v.dropped).reduce((sum, n) => sum + n, 0)
  const scrubbed = Object.values(v.scrubbed).reduce((sum, n) => sum + n, 0)
  const lengths = v.statistics
  return (
    <>
      <div className="grid grid-cols-1 gap-5 lg:grid-cols-3">
        <Card
          title="Rows"
          actions={
            dataset.all_versions.length > 1 && (
              <VersionPicker
                dataset={dataset}
                v={v}
                onChange={(next) => void navigate(`/datasets/${encodeURIComponent(dataset.name)}/${next}`)}
              />
            )
          }
        >
          <p className="num mb-2 text-2xl font-semibold">{count(total)}</p>
          <SplitSizes rows={v.rows} />
        </Card>
        <Card title="Cleaning">
          <Facts
            columns="grid-cols-2"
            facts={[
              ['Dropped', plural(dropped, 'row')],
              ['Replaced', plural(scrubbed, 'span')],
              ...Object.entries(v.dropped).map(([why, n]): [string, string] => [why.replaceAll('_', ' '), count(n)]),
              ...Object.entries(v.scrubbed).map(([what, n]): [string, string] => [what, count(n)]),
            ]}
          />
        </Card>
        <Card title="Labels">
          {lengths.labels.length > 0 ? (
            <ScrollBox label="Labels" className="max-h-52 pr-1">
              <BarList label="Rows by label" items={lengths.labels.map((l) => ({ name: l.label, value: l.count }))} />
            </ScrollBox>
          ) : (
            <p className="text-sm text-ink-2">The rows carry no labels.</p>
          )}
        </Card>
      </div>
      <Card flush>
        <Tabs
          label="Parts of the version"
          value={tab}
          onChange={setTab}
          tabs={[
            { value: 'rows', label: 'Rows', content: <RowBrowser name={dataset.name} version={v} /> },
            {
              value: 'card',
              label: 'Card',
              content: v.card ? <Markdown text={v.card} /> : <p className="text-sm text-ink-2">This version has no card.</p>,
            },
            { value: 'statistics', label: 'Statistics', content: <Lengths v={v} /> },
            {
              value: 'source',
              label: 'Source',
              content: (
                <div className="flex flex-col gap-4">
                  <Facts
                    facts={[
                      [
                        'Digest',
                        <span key="digest" className="font-mono text-xs" title={v.digest}>
                          {shortDigest(v.digest)}
                        </span>,
                      ],
                      [
                        'Built by',
                        v.job_id && (
                          <Link className="link" to={`/training/${v.job_id}`}>
                            its job
                          </Link>
                        ),
                      ],
                      [
                        'Version id',
                        <span key="id" className="font-mono text-xs break-all">
                          {v.id}
                        </span>,
                      ],
                    ]}
                  />
                  <Json value={v.source} label="Source JSON" />
                </div>
              ),
            },
          ]}
        />
      </Card>
      <div className="flex flex-wrap gap-2">
        {(['train', 'validation', 'test'] as const)
          .filter((split) => v.rows[split] > 0)
          .map((split) => (
            <Button
              key={split}
              look="quiet"
              icon={<Download className="size-4" aria-hidden />}
              onClick={() =>
                void download(
                  path(['datasets', dataset.name, 'versions', String(v.version), 'download'], { split }),
                  `${dataset.name}-${v.version}-${split}.jsonl`,
                ).catch((error: unknown) => toast(error instanceof Error ? error.message : 'The download failed'))
              }
            >
              {split}.jsonl
            </Button>
          ))}
      </div>
    </>
  )
}

function VersionPicker({ dataset, v, onChange }: { dataset: DatasetDetail; v: DatasetVersion; onChange: (version: string) => void }) {
  return (
    <div className="[&_label]:sr-only">
      <SelectField
        label="Version"
        value={String(v.version)}
        onChange={(e) => onChange(e.target.value)}
        choices={dataset.all_versions.map((each) => ({ value: String(each.version), label: each.name }))}
      />
    </div>
  )
}

function Lengths({ v }: { v: DatasetVersion }) {
  const rows = [
    { what: 'Input, characters', s: v.statistics.input_chars },
    { what: 'Answer, characters', s: v.statistics.answer_chars },
  ].flatMap(({ what, s }) => (s ? [{ what, s }] : []))
  return (
    <Table
      label="Lengths"
      rows={rows}
      rowKey={(row) => row.what}
      columns={[
        { header: 'Part', cell: (row) => row.what },
        { header: 'Shortest', align: 'right', cell: (row) => count(row.s.min) },
        { header: 'Mean', align: 'right', cell: (row) => row.s.mean.toFixed(1) },
        { header: 'Median', align: 'right', cell: (row) => count(row.s.p50) },
        { header: '95th percentile', align: 'right', cell: (row) => count(row.s.p95) },
        { header: 'Longest', align: 'right', cell: (row) => count(row.s.max) },
      ]}
    />
  )
}
