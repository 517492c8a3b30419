/** All evaluations, grouped by what they can be compared with; choose two to compare. */
import { Plus, Scale } from 'lucide-react'
import { useState } from 'react'
import { Link, useNavigate, useSearchParams } from 'react-router'
import type { Evaluation } from '../api/types'
import { suiteKey, suiteName, targetName } from '../format/names'
import { count, percent } from '../format/number'
import { Ago } from '../format/time'
import { JobProgress } from '../training/job-progress'
import { isActive, useJobs } from '../training/job-queries'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { Empty, QueryState } from '../ui/states'
import { type Column, Table } from '../ui/table'
import { EvaluationDialog } from './evaluation-dialog'
import { useEvaluations } from './evaluation-queries'

export function EvaluationListPage() {
  const evaluations = useEvaluations()
  const navigate = useNavigate()
  const [search, setSearch] = useSearchParams()
  const [chosen, setChosen] = useState<string[]>([])
  const open = () => setSearch({ new: '1' }, { replace: true })
  const items = evaluations.data?.items ?? []
  // Chosen in any order; the older of the two is the baseline.
  const pair = items.filter((e) => chosen.includes(e.id)).toReversed()
  const comparable = pair.length === 2 && suiteKey(pair[0]!.suite) === suiteKey(pair[1]!.suite)
  return (
    <Page
      title="Evaluations"
      description="Held-out items scored one by one, with 95% intervals. Two runs of the same suite can be compared item by item."
      actions={
        <>
          <Button
            icon={<Scale className="size-4" aria-hidden />}
            disabled={!comparable}
            title={comparable ? undefined : 'Choose two evaluations of the same suite'}
            onClick={() => void navigate(`/evaluations/compare?baseline=${pair[0]!.id}&candidate=${pair[1]!.id}`)}
          >
            Compare two
          </Button>
          <Button look="primary" icon={<Plus className="size-4" aria-hidden />} onClick={open}>
            New evaluation
          </Button>
        </>
      }
    >
      <RunningEvaluations />
      <Card flush>
        <QueryState query={evaluations}>
          {({ items: all }) =>
            all.length > 0 ? (
              <Table
                label="Evaluations"
                columns={columns(chosen, (id, on) => setChosen((ids) => (on ? [...ids.slice(-1), id] : ids.filter((i) => i !== id))))}
                rows={all}
                rowKey={(e) => e.id}
                onOpen={(e) => void navigate(`/evaluations/${e.id}`)}
              />
            ) : (
              <Empty title="Nothing measured yet" action={<Button onClick={open}>New evaluation</Button>}>
                <p>Score a model on the test split of a dataset version, so that there is something to be better than:</p>
                <Snippet code="pelton evaluation create base --model pelton/pelton-tiny@1 --dataset telco@1" />
              </Empty>
            )
          }
        </QueryState>
      </Card>
      {search.get('new') !== null && (
        <EvaluationDialog adapter={search.get('adapter') ?? ''} onClose={() => setSearch({}, { replace: true })} />
      )}
    </Page>
  )
}

function columns(chosen: string[], choose: (id: string, on: boolean) => void): Column<Evaluation>[] {
  return [
    {
      header: <span className="sr-only">Compare</span>,
      cell: (e) => (
        <input
          type="checkbox"
          className="size-4"
          aria-label={`Compare ${e.name}`}
          checked={chosen.includes(e.id)}
          onChange={(event) => choose(e.id, event.target.checked)}
        />
      ),
    },
    {
      header: 'Evaluation',
      className: 'min-w-52',
      cell: (e) => (
        <>
          <Link to={`/evaluations/${e.id}`} className="block font-medium hover:underline">
            {e.name}
          </Link>
          <span className="text-xs text-ink-3">{targetName(e.target)}</span>
        </>
      ),
    },
    { header: 'Suite', cell: (e) => <Badge>{suiteName(e.suite)}</Badge> },
    { header: 'Exact match', cell: (e) => <Score e={e} />, className: 'min-w-56' },
    { header: 'Macro F1', align: 'right', cell: (e) => (e.macro_f1 ? percent(e.macro_f1.value) : '–') },
    {
      header: 'Items',
      align: 'right',
      cell: (e) => (e.unscored > 0 ? `${count(e.n)} (${count(e.unscored)} unscored)` : count(e.n)),
      className: 'whitespace-nowrap',
    },
    { header: 'When', cell: (e) => <Ago at={e.created_at} />, className: 'text-ink-2' },
  ]
}

function Score({ e }: { e: Evaluation }) {
  const { value, low, high } = e.exact_match
  return (
    <span className="num flex items-center gap-2">
      <strong className="w-14 text-right">{percent(value)}</strong>
      <span className="relative h-2 w-20 rounded-full bg-sunken" aria-hidden>
        <span className="absolute inset-y-0 left-0 rounded-full bg-accent opacity-40" style={{ width: `${value * 100}%` }} />
        <span
          className="absolute inset-y-0 rounded-full bg-accent"
          style={{ left: `${low * 100}%`, width: `${Math.max(1, (high - low) * 100)}%` }}
        />
      </span>
      <span className="text-xs whitespace-nowrap text-ink-3">
        {percent(low)}–{percent(high)}
      </span>
    </span>
  )
}

function RunningEvaluations() {
  const jobs = useJobs({ kind: 'evaluation' })
  const running = jobs.data?.items.filter((job) => isActive(job.state)) ?? []
  if (running.length === 0) return null
  return (
    <Card title="Running now">
      <ul className="flex flex-col gap-3">
        {running.slice(0, 5).map((job) => (
          <li key={job.id} className="grid gap-1 text-sm sm:grid-cols-[16rem_1fr] sm:items-center">
            <Link className="link truncate" to={`/training/${job.id}`}>
              {job.title}
            </Link>
            <JobProgress job={job} />
          </li>
        ))}
      </ul>
      {running.length > 5 && <p className="mt-2 text-sm text-ink-3">and {count(running.length - 5)} more</p>}
    </Card>
  )
}
