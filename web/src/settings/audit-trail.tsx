/** Every change, newest first, with who made it. */
import { shortId } from '../format/names'
import { exact } from '../format/time'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { Empty, ErrorNote, SkeletonRows } from '../ui/states'
import { Table } from '../ui/table'
import { useAudit } from './settings-queries'

export function AuditTrail() {
  const audit = useAudit()
  const items = audit.data?.pages.flatMap((page) => page.items) ?? []
  if (audit.isPending) return <SkeletonRows />
  if (audit.isError) return <ErrorNote error={audit.error} retry={() => void audit.refetch()} />
  if (items.length === 0) {
    return (
      <Empty title="Nothing changed yet">
        <p>Every change leaves an entry here, chained by hash to the one before.</p>
      </Empty>
    )
  }
  return (
    <div className="flex flex-col gap-3">
      <Table
        label="Audit trail"
        rows={items}
        rowKey={(entry) => entry.id}
        columns={[
          { header: 'When', cell: (entry) => exact(entry.at), className: 'whitespace-nowrap text-ink-2' },
          { header: 'Who', cell: (entry) => entry.actor },
          { header: 'Did', cell: (entry) => <Badge>{entry.action}</Badge> },
          {
            header: 'To',
            cell: (entry) => (
              <span title={entry.object_id}>
                {entry.object_kind} <span className="font-mono text-xs text-ink-3">{shortId(entry.object_id)}</span>
              </span>
            ),
            className: 'whitespace-nowrap',
          },
          {
            header: 'Detail',
            cell: (entry) => (
              <span className="font-mono text-xs wrap-anywhere text-ink-2">
                {entry.detail === null ? '–' : JSON.stringify(entry.detail)}
              </span>
            ),
            className: 'min-w-48',
          },
        ]}
      />
      {audit.hasNextPage && (
        <Button className="self-center" busy={audit.isFetchingNextPage} onClick={() => void audit.fetchNextPage()}>
          Load more
        </Button>
      )}
    </div>
  )
}
