/** One job: live curves for a fine-tune, the log, what it was asked and what it made. */
import { useState } from 'react'
import { Link, useParams } from 'react-router'
import type { Job } from '../api/types'
import { seconds } from '../format/number'
import { exact } from '../format/time'
import { JobBadge } from '../ui/badge'
import { Button, ButtonLink } from '../ui/button'
import { FormDialog } from '../ui/dialog'
import { Json } from '../ui/json'
import { Card, Facts, Page } from '../ui/page'
import { QueryState } from '../ui/states'
import { useToast } from '../ui/toast'
import { KIND_NAMES, Took } from './job-list-page'
import { JobProgress } from './job-progress'
import { isActive, useCancelJob, useJob } from './job-queries'
import { LogView } from './log-view'
import { TrainingCurves } from './training-curves'

export function JobPage() {
  const { id = '' } = useParams()
  const job = useJob(id)
  const [cancelling, setCancelling] = useState(false)
  return (
    <Page
      title={job.data?.title ?? 'Job'}
      back={{ to: '/training', label: 'Training' }}
      description={job.data && `${KIND_NAMES[job.data.kind] ?? job.data.kind}, created ${exact(job.data.created_at)}`}
      actions={
        job.data && (
          <>
            <JobBadge state={job.data.state} />
            {isActive(job.data.state) && (
              <Button look="danger" onClick={() => setCancelling(true)}>
                Cancel the job
              </Button>
            )}
            <ResultLink job={job.data} />
          </>
        )
      }
    >
      <QueryState query={job}>{(j) => <Content job={j} />}</QueryState>
      {cancelling && job.data && <CancelDialog job={job.data} onClose={() => setCancelling(false)} />}
    </Page>
  )
}

function Content({ job }: { job: Job }) {
  const active = isActive(job.state)
  return (
    <>
      <Card title="Progress">
        <div className="flex flex-col gap-4">
          <JobProgress job={job} />
          {job.error && (
            <div role="alert" className="rounded-lg border border-bad bg-bad-soft px-3.5 py-3 text-sm">
              <p className="font-semibold">{job.error.message}</p>
              {job.error.hint && <p className="mt-1">{job.error.hint}</p>}
              <p className="mt-1 font-mono text-xs text-ink-2">{job.error.code}</p>
            </div>
          )}
          <Facts
            columns="grid-cols-2 sm:grid-cols-4"
            facts={[['Took', <Took key="took" job={job} />], ['Attempt', String(job.attempt)], ...resultFacts(job)]}
          />
        </div>
      </Card>
      {(job.kind === 'finetune' || job.kind === 'finetune_search') && <TrainingCurves job={job} />}
      <div className="grid grid-cols-1 gap-5 lg:grid-cols-2">
        <Card title="Log">
          <LogView id={job.id} active={active} />
        </Card>
        <Card title="What it was asked to do">
          <Json value={job.spec} label="Job specification" />
        </Card>
      </div>
    </>
  )
}

/** What a finished job says about itself, as far as it is short. */
function resultFacts(job: Job): [string, string][] {
  if (!job.result) return []
  const { best_val_loss: loss, steps, train_seconds: time, tokens } = job.result
  const facts: [string, string][] = []
  if (typeof loss === 'number') facts.push(['Best validation loss', loss.toFixed(4)])
  if (typeof steps === 'number') facts.push(['Steps', steps.toLocaleString('en-US')])
  if (typeof tokens === 'number') facts.push(['Tokens seen', tokens.toLocaleString('en-US')])
  if (typeof time === 'number') facts.push(['Training time', seconds(time)])
  return facts
}

function ResultLink({ job }: { job: Job }) {
  const result = job.result ?? {}
  if (typeof result.model === 'string') {
    return (
      <>
        <ButtonLink to={`/evaluations?new=1&adapter=${encodeURIComponent(result.model)}`}>Evaluate it</ButtonLink>
        <ButtonLink look="primary" to={`/models/${encodeURIComponent(result.model)}`}>
          Open {result.model}
        </ButtonLink>
      </>
    )
  }
  if (typeof result.evaluation_id === 'string') {
    return (
      <ButtonLink look="primary" to={`/evaluations/${result.evaluation_id}`}>
        Open the evaluation
      </ButtonLink>
    )
  }
  if (typeof result.dataset === 'string') {
    const [name = '', version = ''] = result.dataset.split('@')
    return (
      <ButtonLink look="primary" to={`/datasets/${encodeURIComponent(name)}/${version}`}>
        Open {result.dataset}
      </ButtonLink>
    )
  }
  return null
}

function CancelDialog({ job, onClose }: { job: Job; onClose: () => void }) {
  const cancel = useCancelJob(job.id)
  const toast = useToast()
  return (
    <FormDialog
      title="Cancel the job?"
      description={
        <>
          <strong>{job.title}</strong> stops now, and its process ends. It publishes nothing; a cancelled job cannot be continued, but you
          can{' '}
          <Link className="link" to="/training?new=1" onClick={onClose}>
            start another
          </Link>
          .
        </>
      }
      submit="Cancel the job"
      danger
      busy={cancel.isPending}
      error={cancel.error}
      onClose={onClose}
      onSubmit={() =>
        cancel.mutate(undefined, {
          onSuccess: () => {
            toast('Cancelling')
            onClose()
          },
        })
      }
    />
  )
}
