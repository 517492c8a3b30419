/** The rows of one split, each with the trace or the line it came from. */
import { useState } from 'react'
import { Link } from 'react-router'
import type { DatasetRow, DatasetVersion, SplitName } from '../api/types'
import { contentText, shortDigest } from '../format/names'
import { count } from '../format/number'
import { Messages, MessageView } from '../traces/conversation'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { Dialog } from '../ui/dialog'
import { SelectField } from '../ui/field'
import { ErrorNote, SkeletonRows } from '../ui/states'
import { Table } from '../ui/table'
import { useDatasetRows } from './dataset-queries'

const SPLITS: SplitName[] = ['train', 'validation', 'test']

export function RowBrowser({ name, version }: { name: string; version: DatasetVersion }) {
  const [split, setSplit] = useState<SplitName>(SPLITS.find((s) => version.rows[s] > 0) ?? 'train')
  const rows = useDatasetRows(name, version.version, split)
  const [open, setOpen] = useState<DatasetRow | null>(null)
  const items = rows.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <div className="flex flex-col gap-3">
      <SelectField
        fieldClass="max-w-56"
        label="Split"
        value={split}
        onChange={(e) => setSplit(e.target.value as SplitName)}
        choices={SPLITS.map((s) => ({ value: s, label: `${s} (${count(version.rows[s])})` }))}
      />
      {rows.isPending && <SkeletonRows />}
      {rows.isError && <ErrorNote error={rows.error} retry={() => void rows.refetch()} />}
      {rows.isSuccess && items.length === 0 && <p className="py-4 text-sm text-ink-2">This split is empty.</p>}
      {items.length > 0 && (
        <Table
          label={`Rows of ${split}`}
          rows={items}
          rowKey={(row) => `${row.split}-${row.index}`}
          onOpen={setOpen}
          columns={[
            { header: '#', align: 'right', cell: (row) => count(row.index) },
            {
              header: 'Input',
              className: 'w-1/2 min-w-64 max-w-96',
              cell: (row) => (
                <button type="button" className="block w-full truncate text-left hover:underline" onClick={() => setOpen(row)}>
                  {contentText(row.messages.at(-1)?.content)}
                </button>
              ),
            },
            {
              header: 'Answer',
              className: 'max-w-72',
              cell: (row) => <span className="block truncate font-mono text-xs">{row.answer}</span>,
            },
            { header: 'Label', cell: (row) => (row.label ? <Badge>{row.label}</Badge> : '–') },
            { header: 'From', cell: (row) => <Provenance row={row} />, className: 'whitespace-nowrap' },
          ]}
        />
      )}
      {rows.hasNextPage && (
        <Button className="self-center" busy={rows.isFetchingNextPage} onClick={() => void rows.fetchNextPage()}>
          Load more
        </Button>
      )}
      {open && (
        <Dialog
          title={`Row ${count(open.index)} of ${open.split}`}
          description={<span className="font-mono text-xs">{shortDigest(open.hash)}</span>}
          onClose={() => setOpen(null)}
          wide
        >
          <div className="flex flex-col gap-3">
            <Messages messages={open.messages} />
            <MessageView role="assistant" text={open.answer} note="the answer to learn" />
            <p className="text-sm">
              <Provenance row={open} />
            </p>
          </div>
        </Dialog>
      )}
    </div>
  )
}

function Provenance({ row }: { row: DatasetRow }) {
  const from = row.provenance
  if (from?.inference_id) {
    return (
      <Link className="link" to={`/traces/${from.inference_id}`}>
        trace{from.feedback_id ? ', corrected or judged' : ''}
      </Link>
    )
  }
  if (from?.line !== null && from?.line !== undefined) return <span className="text-ink-2">line {count(from.line)}</span>
  return <span className="text-ink-3">–</span>
}
