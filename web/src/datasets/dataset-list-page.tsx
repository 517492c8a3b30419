/** All datasets with their newest version. */
import { Plus } from 'lucide-react'
import { Link, useNavigate, useSearchParams } from 'react-router'
import type { Dataset } from '../api/types'
import { count } from '../format/number'
import { Ago } from '../format/time'
import { Button } from '../ui/button'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { Empty, QueryState } from '../ui/states'
import { type Column, Table } from '../ui/table'
import { BuildDialog } from './build-dialog'
import { useDatasets } from './dataset-queries'
import { SplitSizes } from './split-sizes'

const COLUMNS: Column<Dataset>[] = [
  {
    header: 'Dataset',
    cell: (d) => (
      <Link to={`/datasets/${encodeURIComponent(d.name)}`} className="font-medium hover:underline">
        {d.name}
      </Link>
    ),
  },
  { header: 'Versions', align: 'right', cell: (d) => count(d.versions) },
  { header: 'Newest', cell: (d) => d.latest?.name ?? '–' },
  { header: 'Rows by split', cell: (d) => (d.latest ? <SplitSizes rows={d.latest.rows} /> : '–'), className: 'min-w-56' },
  { header: 'Built', cell: (d) => <Ago at={d.latest?.created_at ?? null} />, className: 'text-ink-2' },
]

export function DatasetListPage() {
  const datasets = useDatasets()
  const navigate = useNavigate()
  const [search, setSearch] = useSearchParams()
  const building = search.get('new') !== null
  const open = () => setSearch({ new: '1' }, { replace: true })
  return (
    <Page
      title="Datasets"
      description="Versions never change. Each row says which trace or uploaded line it came from."
      actions={
        <Button look="primary" icon={<Plus className="size-4" aria-hidden />} onClick={open}>
          Build a version
        </Button>
      }
    >
      <Card flush>
        <QueryState query={datasets}>
          {({ items }) =>
            items.length > 0 ? (
              <Table
                label="Datasets"
                columns={COLUMNS}
                rows={items}
                rowKey={(d) => d.id}
                onOpen={(d) => void navigate(`/datasets/${encodeURIComponent(d.name)}`)}
              />
            ) : (
              <Empty title="No datasets yet" action={<Button onClick={open}>Build the first version</Button>}>
                <p>Build one from logged traffic and its corrections, or from a file of your own:</p>
                <Snippet code="pelton dataset upload telco rows.jsonl" />
              </Empty>
            )
          }
        </QueryState>
      </Card>
      {building && <BuildDialog name={search.get('name') ?? ''} onClose={() => setSearch({}, { replace: true })} />}
    </Page>
  )
}
