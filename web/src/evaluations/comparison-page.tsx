/** Two evaluations of one suite, item by item: the difference, whether it can be chance, and what flipped. */
import { ArrowLeftRight } from 'lucide-react'
import { useState } from 'react'
import { Link, useSearchParams } from 'react-router'
import type { Comparison, Flip } from '../api/types'
import { IntervalBars } from '../charts/interval-bars'
import { suiteName } from '../format/names'
import { count, points, significance } from '../format/number'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { SelectField } from '../ui/field'
import { Card, Page } from '../ui/page'
import { Empty, QueryState } from '../ui/states'
import { Table } from '../ui/table'
import { useComparison } from './evaluation-queries'
import { GateDialog } from './gate-dialog'
import { McNemar } from './mcnemar'
import { PerClass } from './per-class'
import { verdict } from './verdict'

export function ComparisonPage() {
  const [search, setSearch] = useSearchParams()
  const baseline = search.get('baseline') ?? ''
  const candidate = search.get('candidate') ?? ''
  const comparison = useComparison(baseline, candidate)
  const [deciding, setDeciding] = useState(false)
  const valid = baseline !== '' && candidate !== '' && baseline !== candidate
  return (
    <Page
      title="Comparison"
      back={{ to: '/evaluations', label: 'Evaluations' }}
      heading={comparison.data && `${comparison.data.candidate.name} against ${comparison.data.baseline.name}`}
      description={
        comparison.data &&
        `${count(comparison.data.n_paired)} items of ${suiteName(comparison.data.candidate.suite)}, each answered by both`
      }
      actions={
        valid && (
          <>
            <Button
              icon={<ArrowLeftRight className="size-4" aria-hidden />}
              onClick={() => setSearch({ baseline: candidate, candidate: baseline }, { replace: true })}
            >
              Swap
            </Button>
            <Button look="primary" disabled={!comparison.data} onClick={() => setDeciding(true)}>
              Decide a gate
            </Button>
          </>
        )
      }
    >
      {valid ? (
        <QueryState query={comparison}>{(c) => <Content c={c} />}</QueryState>
      ) : (
        <Empty
          title="Choose two evaluations"
          action={
            <Link className="link" to="/evaluations">
              Open the list
            </Link>
          }
        >
          <p>Tick two runs of the same suite in the list of evaluations.</p>
        </Empty>
      )}
      {deciding && <GateDialog baseline={baseline} candidate={candidate} onClose={() => setDeciding(false)} />}
    </Page>
  )
}

function Content({ c }: { c: Comparison }) {
  const spread = Math.max(0.1, Math.abs(c.difference.low), Math.abs(c.difference.high)) * 1.15
  const judged = verdict(c)
  return (
    <>
      <section className="rounded-xl border border-line bg-surface p-4 shadow-card" aria-label="Verdict">
        <div className="flex flex-wrap items-baseline gap-x-4 gap-y-1">
          <span className="num text-3xl font-semibold">{points(c.difference.value)}</span>
          <Badge tone={judged.tone}>{judged.title}</Badge>
          <span className="num text-sm text-ink-2">
            95% interval [{points(c.difference.low)}, {points(c.difference.high)}] · {significance(c.mcnemar.p_value)}
          </span>
        </div>
        <p className="mt-1 max-w-[75ch] text-sm text-ink-2">{judged.text}</p>
      </section>
      <div className="grid grid-cols-1 gap-5 lg:grid-cols-2">
        <Card title="Exact match with 95% intervals">
          <IntervalBars
            rows={[
              { key: 'b', label: c.baseline.name, tone: 'bronze', ...c.baseline.exact_match },
              { key: 'c', label: c.candidate.name, ...c.candidate.exact_match },
            ]}
          />
          <h3 className="mt-5 mb-2 text-sm font-semibold">Difference (paired bootstrap)</h3>
          <IntervalBars rows={[{ key: 'd', label: 'candidate − baseline', ...c.difference }]} from={-spread} to={spread} format={points} />
        </Card>
        <Card title="Where they disagree (McNemar)">
          <McNemar c={c} />
        </Card>
        {c.candidate.per_class.length > 0 && (
          <Card title="Per class" flush>
            <PerClass candidate={c.candidate} baseline={c.baseline} />
          </Card>
        )}
        {c.candidate.by_group.length > 0 && (
          <Card title="By group">
            <IntervalBars
              rows={c.candidate.by_group.flatMap((g) => {
                const before = c.baseline.by_group.find((b) => b.group === g.group)
                return [
                  ...(before
                    ? [
                        {
                          key: `${g.group}-b`,
                          label: g.group,
                          note: 'baseline',
                          tone: 'bronze' as const,
                          value: before.value,
                          low: before.low,
                          high: before.high,
                        },
                      ]
                    : []),
                  { key: `${g.group}-c`, label: g.group, note: 'candidate', value: g.value, low: g.low, high: g.high },
                ]
              })}
            />
          </Card>
        )}
      </div>
      <Flips flips={c.flips} />
    </>
  )
}

function Flips({ flips }: { flips: Flip[] }) {
  const [which, setWhich] = useState<'all' | 'lost' | 'won'>('all')
  const shown = flips.filter((f) => which === 'all' || f.candidate_correct === (which === 'won'))
  return (
    <Card title="Flips" flush>
      <p className="px-4 text-sm text-ink-2">
        Items that one answered right and the other wrong{flips.length >= 50 ? '; the first 50 are shown' : ''}.
      </p>
      <SelectField
        fieldClass="mx-4 my-2 max-w-56"
        label="Show"
        value={which}
        onChange={(e) => setWhich(e.target.value as typeof which)}
        choices={[
          { value: 'all', label: `all (${flips.length})` },
          { value: 'won', label: `won by the candidate (${flips.filter((f) => f.candidate_correct).length})` },
          { value: 'lost', label: `lost by the candidate (${flips.filter((f) => !f.candidate_correct).length})` },
        ]}
      />
      {shown.length === 0 ? (
        <p className="px-4 pb-5 text-sm text-ink-2">None.</p>
      ) : (
        <Table
          label="Flips"
          rows={shown}
          rowKey={(f) => String(f.index)}
          columns={[
            { header: '#', align: 'right', cell: (f) => count(f.index) },
            {
              header: 'Input',
              className: 'min-w-64 max-w-80',
              cell: (f) => (
                <details>
                  <summary className="truncate">{f.input.split('\n').at(-1)}</summary>
                  <p className="mt-1 text-xs whitespace-pre-wrap text-ink-2">{f.input}</p>
                </details>
              ),
            },
            {
              header: 'Expected',
              className: 'max-w-60',
              cell: (f) => <span className="font-mono text-xs wrap-anywhere">{f.expected}</span>,
            },
            {
              header: 'Baseline said',
              className: 'max-w-60',
              cell: (f) => <Answer text={f.baseline_output} right={!f.candidate_correct} />,
            },
            {
              header: 'Candidate said',
              className: 'max-w-60',
              cell: (f) => <Answer text={f.candidate_output} right={f.candidate_correct} />,
            },
          ]}
        />
      )}
    </Card>
  )
}

function Answer({ text, right }: { text: string | null; right: boolean }) {
  return (
    <span className="flex flex-col items-start gap-1">
      <Badge tone={right ? 'good' : 'bad'}>{right ? 'right' : 'wrong'}</Badge>
      <span className="font-mono text-xs wrap-anywhere">{text ?? '(no answer)'}</span>
    </span>
  )
}
