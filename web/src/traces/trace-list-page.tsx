/** Every call that was served, newest first, with filters kept in the address. */
import { MessageSquarePlus, PencilLine, ThumbsDown, ThumbsUp } from 'lucide-react'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { Link, useNavigate, useSearchParams } from 'react-router'
import type { TraceSummary } from '../api/types'
import { useEndpoints } from '../endpoints/endpoint-queries'
import { cost, count, milliseconds } from '../format/number'
import { Ago } from '../format/time'
import { useReleases } from '../models/model-queries'
import { isTyping } from '../shell/shortcuts'
import { TraceBadge } from '../ui/badge'
import { Button } from '../ui/button'
import { CheckField, SelectField } from '../ui/field'
import { Card, Page } from '../ui/page'
import { Snippet } from '../ui/snippet'
import { Empty, ErrorNote, SkeletonRows } from '../ui/states'
import { type Column, Table } from '../ui/table'
import { filterFromUrl, withFilter } from './filter-url'
import { useTraces } from './trace-queries'
import { useRowKeys } from './use-row-keys'

const COLUMNS: Column<TraceSummary>[] = [
  { header: 'When', cell: (t) => <Ago at={t.started_at} />, className: 'whitespace-nowrap text-ink-2' },
  {
    header: 'Request and answer',
    className: 'w-[38%] min-w-60 max-w-[30rem]',
    cell: (t) => (
      <>
        <Link to={`/traces/${t.id}`} className="block truncate font-medium hover:underline">
          {t.preview_input || '(no text)'}
        </Link>
        <span className="block truncate font-mono text-xs text-ink-3">{t.preview_output || t.error_code || '(no answer)'}</span>
      </>
    ),
  },
  { header: 'Status', cell: (t) => <TraceBadge status={t.status} /> },
  {
    header: 'Endpoint and release',
    cell: (t) => (
      <>
        <span className="block whitespace-nowrap">{t.endpoint ?? '–'}</span>
        <span className="block max-w-48 truncate text-xs text-ink-3">{t.release_name ?? t.model ?? '–'}</span>
      </>
    ),
  },
  { header: 'Latency', align: 'right', cell: (t) => milliseconds(t.latency_ms), className: 'whitespace-nowrap' },
  {
    header: 'Tokens and cost',
    align: 'right',
    className: 'whitespace-nowrap text-ink-2',
    cell: (t) => (
      <>
        <span className="block">
          {count(t.prompt_tokens)} in, {count(t.completion_tokens)} out
        </span>
        {t.cost_nanousd !== null && <span className="block text-xs text-ink-3">{cost(t.cost_nanousd)}</span>}
      </>
    ),
  },
  { header: 'Feedback', cell: (t) => <FeedbackMarks feedback={t.feedback} /> },
]

export function FeedbackMarks({ feedback }: { feedback: TraceSummary['feedback'] }) {
  if (feedback.count === 0) return <span className="text-ink-3">–</span>
  return (
    <span className="inline-flex items-center gap-1.5">
      {feedback.score !== null &&
        (feedback.score >= 0.5 ? (
          <ThumbsUp className="size-4 text-good" aria-label={`score ${feedback.score.toFixed(2)}`} />
        ) : (
          <ThumbsDown className="size-4 text-bad" aria-label={`score ${feedback.score.toFixed(2)}`} />
        ))}
      {feedback.has_correction && <PencilLine className="size-4 text-bronze" aria-label="has a correction" />}
      {feedback.score === null && !feedback.has_correction && <MessageSquarePlus className="size-4 text-ink-3" aria-label="has feedback" />}
    </span>
  )
}

export function TraceListPage() {
  const [search, setSearch] = useSearchParams()
  const navigate = useNavigate()
  const filter = useMemo(() => filterFromUrl(search), [search])
  const traces = useTraces(filter)
  const rows = useMemo(() => traces.data?.pages.flatMap((page) => page.items) ?? [], [traces.data])
  const ids = useMemo(() => rows.map((t) => t.id), [rows])
  const open = useCallback((id: string) => void navigate(`/traces/${id}`), [navigate])
  const active = useRowKeys(ids, open)
  const filtered = Object.keys(filter).length > 0
  return (
    <Page
      title="Traces"
      description="One record for every call: what was asked, what was answered, by which release, and what people said about it."
    >
      <Filters search={search} onChange={(next) => setSearch(next, { replace: true })} />
      <Card flush>
        {traces.isError && (
          <div className="p-4">
            <ErrorNote error={traces.error} retry={() => void traces.refetch()} />
          </div>
        )}
        {traces.isPending && <SkeletonRows rows={10} />}
        {rows.length > 0 && (
          <Table label="Traces" columns={COLUMNS} rows={rows} rowKey={(t) => t.id} active={active} onOpen={(t) => open(t.id)} />
        )}
        {traces.isSuccess && rows.length === 0 && (filtered ? <NoMatch onClear={() => setSearch({}, { replace: true })} /> : <NoTraces />)}
        {traces.hasNextPage && (
          <div className="flex justify-center p-3">
            <Button busy={traces.isFetchingNextPage} onClick={() => void traces.fetchNextPage()}>
              Load more
            </Button>
          </div>
        )}
      </Card>
    </Page>
  )
}

function Filters({ search, onChange }: { search: URLSearchParams; onChange: (next: URLSearchParams) => void }) {
  const endpoints = useEndpoints()
  const releases = useReleases()
  const set = (name: Parameters<typeof withFilter>[1], value: string) => onChange(withFilter(search, name, value))
  const choices = (names: string[], chosen: string | null) => [
    { value: '', label: 'All' },
    ...[...new Set(chosen ? [...names, chosen] : names)].map((name) => ({ value: name, label: name })),
  ]
  return (
    <div role="search" className="grid grid-cols-2 items-end gap-3 sm:grid-cols-3 lg:grid-cols-[minmax(14rem,1.6fr)_1fr_1.2fr_0.8fr_auto]">
      <TextSearch value={search.get('text') ?? ''} onCommit={(text) => set('text', text)} />
      <SelectField
        label="Endpoint"
        choices={choices(endpoints.data?.items.map((e) => e.name) ?? [], search.get('endpoint'))}
        value={search.get('endpoint') ?? ''}
        onChange={(e) => set('endpoint', e.target.value)}
      />
      <SelectField
        label="Release"
        choices={[{ value: '', label: 'All' }, ...(releases.data?.items.map((r) => ({ value: r.id, label: r.name })) ?? [])]}
        value={search.get('release') ?? ''}
        onChange={(e) => set('release', e.target.value)}
      />
      <SelectField
        label="Status"
        choices={choices(['ok', 'error', 'cancelled', 'partial'], null)}
        value={search.get('status') ?? ''}
        onChange={(e) => set('status', e.target.value)}
      />
      <div className="flex flex-col gap-1 pb-0.5 max-lg:col-span-2 max-lg:flex-row max-lg:gap-5 sm:max-lg:col-span-1">
        <CheckField
          label="Has feedback"
          checked={search.get('has_feedback') === 'true'}
          onChange={(e) => set('has_feedback', e.target.checked ? 'true' : '')}
        />
        <CheckField
          label="Corrected"
          checked={search.get('has_correction') === 'true'}
          onChange={(e) => set('has_correction', e.target.checked ? 'true' : '')}
        />
      </div>
    </div>
  )
}

/** Types freely; the address and the query follow when typing pauses. */
function TextSearch({ value, onCommit }: { value: string; onCommit: (text: string) => void }) {
  const [draft, setDraft] = useState(value)
  const input = useRef<HTMLInputElement>(null)
  const commit = useRef(onCommit)
  useEffect(() => {
    commit.current = onCommit
  })
  useEffect(() => {
    if (draft === value) return undefined
    const timer = window.setTimeout(() => commit.current(draft), 300)
    return () => window.clearTimeout(timer)
  }, [draft, value])
  useEffect(() => {
    function focus(event: KeyboardEvent) {
      if (event.key === '/' && !isTyping(event)) {
        event.preventDefault()
        input.current?.focus()
      }
    }
    window.addEventListener('keydown', focus)
    return () => window.removeEventListener('keydown', focus)
  }, [])
  return (
    <div className="col-span-2 flex flex-col gap-1 sm:col-span-3 lg:col-span-1">
      <label htmlFor="trace-text" className="text-sm font-medium text-ink-2">
        Text
      </label>
      <input
        ref={input}
        id="trace-text"
        type="search"
        className="control"
        placeholder="In a request or an answer"
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
      />
    </div>
  )
}

function NoMatch({ onClear }: { onClear: () => void }) {
  return (
    <Empty title="No trace matches" action={<Button onClick={onClear}>Clear the filters</Button>}>
      <p>Widen the filter, or wait: new traces appear here within a second of the call.</p>
    </Empty>
  )
}

function NoTraces() {
  const code = `curl ${window.location.origin}/v1/chat/completions \\
  -H 'content-type: application/json' \\
  -d '{"model":"ENDPOINT","messages":[{"role":"user","content":"Hello"}]}'`
  return (
    <Empty title="No traces yet">
      <p>Send a request through the gateway and it appears here.</p>
      <Snippet code={code} />
    </Empty>
  )
}
