/** The names that applications call, each with its traffic split and running rollout. */
import { Plus } from 'lucide-react'
import { Link, useSearchParams } from 'react-router'
import type { Endpoint } from '../api/types'
import { plural } from '../format/number'
import { Ago } from '../format/time'
import { RolloutBadge } from '../ui/badge'
import { Button, ButtonLink } from '../ui/button'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { Empty, QueryState } from '../ui/states'
import { useEndpoints } from './endpoint-queries'
import { RolloutDialog } from './rollout-dialog'
import { StageTrack } from './stage-track'
import { TrafficBar } from './traffic-bar'
import { TrafficDialog } from './traffic-dialog'

export function EndpointListPage() {
  const endpoints = useEndpoints()
  const [search, setSearch] = useSearchParams()
  const close = () => setSearch({}, { replace: true })
  const create = () => setSearch({ new: '1' }, { replace: true })
  return (
    <Page
      title="Endpoints"
      description="An application calls an endpoint by name. Which release answers is decided here, sticky for each user."
      actions={
        <Button look="primary" icon={<Plus className="size-4" aria-hidden />} onClick={create}>
          New endpoint
        </Button>
      }
    >
      <QueryState query={endpoints}>
        {({ items }) =>
          items.length > 0 ? (
            <ul className="grid grid-cols-1 gap-5 lg:grid-cols-2">
              {items.map((endpoint) => (
                <li key={endpoint.id} className="min-w-0">
                  <EndpointCard endpoint={endpoint} />
                </li>
              ))}
            </ul>
          ) : (
            <Card flush>
              <Empty title="No endpoints yet" action={<Button onClick={create}>New endpoint</Button>}>
                <p>An endpoint sends its traffic to one or more releases:</p>
                <Snippet code="pelton endpoint set desk first" />
              </Empty>
            </Card>
          )
        }
      </QueryState>
      {search.get('new') !== null && <TrafficDialog endpoint={null} onClose={close} />}
      {search.get('rollout') && <RolloutDialog endpoint={null} candidate={search.get('rollout') ?? ''} onClose={close} />}
    </Page>
  )
}

function EndpointCard({ endpoint }: { endpoint: Endpoint }) {
  const address = `/endpoints/${encodeURIComponent(endpoint.name)}`
  return (
    <Card
      title={
        <Link to={address} className="text-base hover:underline">
          {endpoint.name}
        </Link>
      }
      actions={
        <>
          {endpoint.rollout && <RolloutBadge state={endpoint.rollout.state} />}
          <ButtonLink to={address} aria-label={`Open ${endpoint.name}`}>
            Open
          </ButtonLink>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        <TrafficBar traffic={endpoint.traffic} />
        {endpoint.rollout && <StageTrack rollout={endpoint.rollout} />}
        <p className="text-xs text-ink-3">
          {plural(endpoint.generation, 'change')} so far, the last <Ago at={endpoint.updated_at} />
        </p>
      </div>
    </Card>
  )
}
