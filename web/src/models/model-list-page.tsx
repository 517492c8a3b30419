/** Base models and adapters, and the releases that bundle them. */
import { Plus } from 'lucide-react'
import { Link, useNavigate, useSearchParams } from 'react-router'
import type { Model, Release } from '../api/types'
import { bundleName, shortDigest } from '../format/names'
import { bytes } from '../format/number'
import { Ago } from '../format/time'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { Empty, QueryState } from '../ui/states'
import { type Column, Table } from '../ui/table'
import { Tabs } from '../ui/tabs'
import { GateBadge } from './gate-badge'
import { useModels, useReleases } from './model-queries'
import { ReleaseDialog } from './release-dialog'

const MODEL_COLUMNS: Column<Model>[] = [
  {
    header: 'Model',
    cell: (m) => (
      <Link to={`/models/${encodeURIComponent(m.ref)}`} className="font-medium hover:underline">
        {m.ref}
      </Link>
    ),
  },
  { header: 'Kind', cell: (m) => <Badge tone={m.kind === 'base' ? 'accent' : 'bronze'}>{m.kind}</Badge> },
  { header: 'Base', cell: (m) => m.base ?? '–', className: 'text-ink-2' },
  { header: 'Trained on', cell: (m) => (m.lineage?.dataset ? <DatasetLink name={m.lineage.dataset} /> : '–') },
  { header: 'Size', align: 'right', cell: (m) => bytes(m.size_bytes), className: 'whitespace-nowrap' },
  { header: 'Created', cell: (m) => <Ago at={m.created_at} />, className: 'text-ink-2' },
]

const RELEASE_COLUMNS: Column<Release>[] = [
  {
    header: 'Release',
    cell: (r) => (
      <Link to={`/releases/${r.id}`} className="font-medium hover:underline">
        {r.name}
      </Link>
    ),
  },
  { header: 'Serves', cell: (r) => bundleName(r.bundle), className: 'min-w-48' },
  { header: 'Gate', cell: (r) => <GateBadge gate={r.gate} /> },
  { header: 'Digest', cell: (r) => <span className="font-mono text-xs">{shortDigest(r.digest)}</span> },
  { header: 'Created', cell: (r) => <Ago at={r.created_at} />, className: 'text-ink-2' },
]

export function DatasetLink({ name }: { name: string }) {
  const [dataset = '', version = ''] = name.split('@')
  return (
    <Link className="link" to={`/datasets/${encodeURIComponent(dataset)}/${version}`}>
      {name}
    </Link>
  )
}

export function ModelListPage() {
  const models = useModels()
  const releases = useReleases()
  const navigate = useNavigate()
  const [search, setSearch] = useSearchParams()
  const tab = search.get('tab') ?? 'releases'
  const show = (next: Record<string, string>) => setSearch(next, { replace: true })
  return (
    <Page
      title="Models & releases"
      description="A release is one fixed bundle of model, adapter, prompt and sampling. Endpoints point at releases, so going back is moving a pointer."
      actions={
        <Button look="primary" icon={<Plus className="size-4" aria-hidden />} onClick={() => show({ tab: 'releases', new: '1' })}>
          New release
        </Button>
      }
    >
      <Card flush>
        <Tabs
          label="Models and releases"
          value={tab}
          onChange={(value) => show({ tab: value })}
          tabs={[
            {
              value: 'releases',
              label: 'Releases',
              content: (
                <div className="-m-4">
                  <QueryState query={releases}>
                    {({ items }) =>
                      items.length > 0 ? (
                        <Table
                          label="Releases"
                          columns={RELEASE_COLUMNS}
                          rows={items}
                          rowKey={(r) => r.id}
                          onOpen={(r) => void navigate(`/releases/${r.id}`)}
                        />
                      ) : (
                        <Empty
                          title="No releases yet"
                          action={<Button onClick={() => show({ tab: 'releases', new: '1' })}>New release</Button>}
                        >
                          <p>Bundle a model, with or without an adapter, so that an endpoint can serve it:</p>
                          <Snippet code="pelton release create first --model pelton/pelton-tiny@1" />
                        </Empty>
                      )
                    }
                  </QueryState>
                </div>
              ),
            },
            {
              value: 'models',
              label: 'Models',
              content: (
                <div className="-m-4">
                  <QueryState query={models}>
                    {({ items }) =>
                      items.length > 0 ? (
                        <Table
                          label="Models"
                          columns={MODEL_COLUMNS}
                          rows={items}
                          rowKey={(m) => m.id}
                          onOpen={(m) => void navigate(`/models/${encodeURIComponent(m.ref)}`)}
                        />
                      ) : (
                        <Empty title="No models">
                          <p>
                            The base model that comes with Pelton is registered when the server first starts. Its log says why that did not
                            happen.
                          </p>
                        </Empty>
                      )
                    }
                  </QueryState>
                </div>
              ),
            },
          ]}
        />
      </Card>
      {search.get('new') !== null && (
        <ReleaseDialog adapter={search.get('adapter') ?? ''} gate={search.get('gate')} onClose={() => show({ tab })} />
      )}
    </Page>
  )
}
