/** One evaluation: the score with its interval, per class and per group, and every sample. */
import { useState } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import type { Evaluation, Sample } from '../api/types'
import { IntervalBars } from '../charts/interval-bars'
import { suiteKey, suiteName, targetName } from '../format/names'
import { count, milliseconds } from '../format/number'
import { exact } from '../format/time'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { SelectField } from '../ui/field'
import { Card, Facts, Page } from '../ui/page'
import { ErrorNote, QueryState, SkeletonRows } from '../ui/states'
import { Table } from '../ui/table'
import { useEvaluation, useEvaluations, useSamples } from './evaluation-queries'
import { PerClass } from './per-class'

export function EvaluationPage() {
  const { id = '' } = useParams()
  const evaluation = useEvaluation(id)
  return (
    <Page
      title={evaluation.data?.name ?? 'Evaluation'}
      back={{ to: '/evaluations', label: 'Evaluations' }}
      description={
        evaluation.data &&
        `${targetName(evaluation.data.target)} on ${suiteName(evaluation.data.suite)}, ${exact(evaluation.data.created_at)}`
      }
      actions={evaluation.data && <CompareWith e={evaluation.data} />}
    >
      <QueryState query={evaluation}>{(e) => <Content e={e} />}</QueryState>
    </Page>
  )
}

function CompareWith({ e }: { e: Evaluation }) {
  const evaluations = useEvaluations()
  const navigate = useNavigate()
  const others = evaluations.data?.items.filter((o) => o.id !== e.id && suiteKey(o.suite) === suiteKey(e.suite)) ?? []
  if (others.length === 0) return null
  return (
    <SelectField
      label="Compare with"
      fieldClass="w-64"
      value=""
      onChange={(event) => void navigate(`/evaluations/compare?baseline=${event.target.value}&candidate=${e.id}`)}
      choices={[{ value: '', label: 'Choose a baseline' }, ...others.map((o) => ({ value: o.id, label: o.name }))]}
    />
  )
}

function Content({ e }: { e: Evaluation }) {
  const overall = [
    { key: 'exact', label: 'Exact match', ...e.exact_match },
    ...(e.macro_f1 ? [{ key: 'f1', label: 'Macro F1', ...e.macro_f1 }] : []),
  ]
  return (
    <>
      <div className="grid grid-cols-1 gap-5 lg:grid-cols-2">
        <Card title="Scores with 95% intervals">
          <IntervalBars rows={overall} />
        </Card>
        <Card title="Run">
          <Facts
            columns="grid-cols-2 sm:grid-cols-3"
            facts={[
              ['Items', count(e.n)],
              [
                'Unscored',
                e.unscored > 0 ? (
                  <span key="u" className="text-bad">
                    {count(e.unscored)}, counted as wrong
                  </span>
                ) : (
                  '0'
                ),
              ],
              ['Mean latency', milliseconds(e.mean_latency_ms)],
              [
                'Job',
                e.job_id && (
                  <Link className="link" to={`/training/${e.job_id}`}>
                    open
                  </Link>
                ),
              ],
            ]}
          />
        </Card>
        {e.by_group.length > 0 && (
          <Card title="By group">
            <IntervalBars
              rows={e.by_group.map((g) => ({ key: g.group, label: g.group, note: count(g.n), value: g.value, low: g.low, high: g.high }))}
            />
          </Card>
        )}
        {e.per_class.length > 0 && (
          <Card title="Per class" flush>
            <PerClass candidate={e} />
          </Card>
        )}
      </div>
      <Card title="Samples" flush>
        <Samples e={e} />
      </Card>
    </>
  )
}

function Samples({ e }: { e: Evaluation }) {
  const [which, setWhich] = useState<'all' | 'wrong' | 'right'>('all')
  const samples = useSamples(e.id, which === 'all' ? null : which === 'right')
  const items = samples.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <div className="flex flex-col gap-2 pt-1">
      <SelectField
        fieldClass="mx-4 max-w-48"
        label="Show"
        value={which}
        onChange={(event) => setWhich(event.target.value as typeof which)}
        choices={[
          { value: 'all', label: 'all samples' },
          { value: 'wrong', label: 'wrong answers' },
          { value: 'right', label: 'right answers' },
        ]}
      />
      {samples.isPending && <SkeletonRows />}
      {samples.isError && <ErrorNote error={samples.error} />}
      {samples.isSuccess && items.length === 0 && <p className="px-4 py-6 text-sm text-ink-2">No such sample.</p>}
      {items.length > 0 && <Table label="Samples" rows={items} rowKey={(s: Sample) => String(s.index)} columns={SAMPLE_COLUMNS} />}
      {samples.hasNextPage && (
        <Button className="mb-3 self-center" busy={samples.isFetchingNextPage} onClick={() => void samples.fetchNextPage()}>
          Load more
        </Button>
      )}
    </div>
  )
}

const SAMPLE_COLUMNS = [
  { header: '#', align: 'right' as const, cell: (s: Sample) => count(s.index) },
  {
    header: 'Input',
    className: 'min-w-64 max-w-96',
    cell: (s: Sample) => (
      <details>
        <summary className="truncate">{s.input.split('\n').at(-1)}</summary>
        <p className="mt-1 text-xs whitespace-pre-wrap text-ink-2">{s.input}</p>
      </details>
    ),
  },
  { header: 'Expected', className: 'max-w-64', cell: (s: Sample) => <span className="font-mono text-xs wrap-anywhere">{s.expected}</span> },
  {
    header: 'Output',
    className: 'max-w-64',
    cell: (s: Sample) => <span className="font-mono text-xs wrap-anywhere">{s.output ?? s.error ?? '–'}</span>,
  },
  {
    header: 'Result',
    cell: (s: Sample) => (s.correct ? <Badge tone="good">right</Badge> : <Badge tone="bad">{s.error ? 'unscored' : 'wrong'}</Badge>),
  },
  { header: 'Group', cell: (s: Sample) => s.group ?? '–' },
]
