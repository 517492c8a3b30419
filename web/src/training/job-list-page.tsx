/** Fine-tunes, dataset builds and evaluations, as the job queue has them. */
import { Plus } from 'lucide-react'
import { Link, useNavigate, useSearchParams } from 'react-router'
import type { Job, JobKind, JobState } from '../api/types'
import { seconds } from '../format/number'
import { Ago, elapsedSeconds, useNow } from '../format/time'
import { JobBadge } from '../ui/badge'
import { Button } from '../ui/button'
import { SelectField } from '../ui/field'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { Empty, QueryState } from '../ui/states'
import { type Column, Table } from '../ui/table'
import { FinetuneDialog } from './finetune-dialog'
import { JobProgress } from './job-progress'
import { isActive, useJobs } from './job-queries'

export const KIND_NAMES: Record<JobKind, string> = {
  finetune: 'fine-tune',
  finetune_search: 'hyperparameter search',
  dataset_build: 'dataset build',
  evaluation: 'evaluation',
}

const COLUMNS: Column<Job>[] = [
  {
    header: 'Job',
    className: 'min-w-60',
    cell: (job) => (
      <>
        <Link to={`/training/${job.id}`} className="block font-medium hover:underline">
          {job.title}
        </Link>
        <span className="text-xs text-ink-3">{KIND_NAMES[job.kind] ?? job.kind}</span>
      </>
    ),
  },
  { header: 'State', cell: (job) => <JobBadge state={job.state} /> },
  { header: 'Progress', cell: (job) => <JobProgress job={job} />, className: 'min-w-52 max-w-80' },
  { header: 'Took', align: 'right', cell: (job) => <Took job={job} />, className: 'whitespace-nowrap' },
  { header: 'Started', cell: (job) => <Ago at={job.started_at ?? job.created_at} />, className: 'text-ink-2' },
]

export function Took({ job }: { job: Job }) {
  const now = useNow()
  return <>{seconds(elapsedSeconds(job.started_at, isActive(job.state) ? null : job.ended_at, now))}</>
}

export function JobListPage() {
  const [search, setSearch] = useSearchParams()
  const navigate = useNavigate()
  const kind = (search.get('kind') ?? 'finetune') as JobKind | 'all'
  const state = (search.get('state') ?? '') as JobState | ''
  const jobs = useJobs({ kind: kind === 'all' ? '' : kind, state })
  const set = (name: string, value: string, fallback: string) => {
    const next = new URLSearchParams(search)
    if (value === fallback) next.delete(name)
    else next.set(name, value)
    setSearch(next, { replace: true })
  }
  const close = () => setSearch({}, { replace: true })
  return (
    <Page
      title="Training"
      description="Heavy work runs in child processes: it survives a restart from its last checkpoint, and can be cancelled at any time."
      actions={
        <Button look="primary" icon={<Plus className="size-4" aria-hidden />} onClick={() => set('new', '1', '')}>
          New fine-tune
        </Button>
      }
    >
      <div className="grid max-w-md grid-cols-2 gap-3">
        <SelectField
          label="Kind"
          value={kind}
          onChange={(e) => set('kind', e.target.value, 'finetune')}
          choices={[
            ...Object.entries(KIND_NAMES).map(([value, label]) => ({ value, label: label.endsWith('ch') ? `${label}es` : `${label}s` })),
            { value: 'all', label: 'all jobs' },
          ]}
        />
        <SelectField
          label="State"
          value={state}
          onChange={(e) => set('state', e.target.value, '')}
          choices={[
            { value: '', label: 'all' },
            ...['queued', 'running', 'succeeded', 'failed', 'cancelled'].map((value) => ({ value, label: value })),
          ]}
        />
      </div>
      <Card flush>
        <QueryState query={jobs}>
          {({ items }) =>
            items.length > 0 ? (
              <Table
                label="Jobs"
                columns={COLUMNS}
                rows={items}
                rowKey={(job) => job.id}
                onOpen={(job) => void navigate(`/training/${job.id}`)}
              />
            ) : (
              <Empty
                title={kind === 'finetune' && !state ? 'Nothing trained yet' : 'No such job'}
                action={kind === 'finetune' && <Button onClick={() => set('new', '1', '')}>New fine-tune</Button>}
              >
                <p>A fine-tune takes a base model and a dataset version and gives an adapter. From the command line:</p>
                <Snippet code="pelton finetune create telco-desk --dataset telco@1 --wait" />
              </Empty>
            )
          }
        </QueryState>
      </Card>
      {search.get('new') !== null && <FinetuneDialog dataset={search.get('dataset') ?? ''} onClose={close} />}
    </Page>
  )
}
