/** Precision, recall and F1 by class, with the change against a baseline where there is one. */
import type { Evaluation } from '../api/types'
import { count, percent, points } from '../format/number'
import { Table } from '../ui/table'

export function PerClass({ candidate, baseline }: { candidate: Evaluation; baseline?: Evaluation }) {
  const before = new Map(baseline?.per_class.map((c) => [c.label, c]))
  return (
    <div className="pb-1">
      <Table
        label="Scores by class"
        height="max-h-96"
        rows={candidate.per_class}
        rowKey={(c) => c.label}
        columns={[
          { header: 'Class', cell: (c) => c.label },
          { header: 'Precision', align: 'right', cell: (c) => percent(c.precision) },
          { header: 'Recall', align: 'right', cell: (c) => percent(c.recall) },
          { header: 'F1', align: 'right', cell: (c) => <strong>{percent(c.f1)}</strong> },
          ...(baseline
            ? [
                {
                  header: 'F1 change',
                  align: 'right' as const,
                  cell: (c: Evaluation['per_class'][number]) => {
                    const change = c.f1 - (before.get(c.label)?.f1 ?? 0)
                    return (
                      <span className={change > 0.0005 ? 'text-good' : change < -0.0005 ? 'text-bad' : 'text-ink-3'}>{points(change)}</span>
                    )
                  },
                },
              ]
            : []),
          { header: 'Items', align: 'right', cell: (c) => count(c.support) },
        ]}
      />
    </div>
  )
}
