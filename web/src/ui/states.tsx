/** What stands where data will be: loading, nothing yet, or an error that says what to do. */
import type { UseQueryResult } from '@tanstack/react-query'
import { CircleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import { ApiError } from '../api/client'
import { Button } from './button'

export function Skeleton({ className = 'h-4 w-full' }: { className?: string }) {
  return <div className={`pulse rounded-md bg-sunken ${className}`} aria-hidden />
}

export function SkeletonRows({ rows = 6 }: { rows?: number }) {
  return (
    <div className="flex flex-col gap-3 p-4" role="status">
      <span className="sr-only">Loading</span>
      {Array.from({ length: rows }, (_, i) => (
        <Skeleton key={i} className="h-5" />
      ))}
    </div>
  )
}

interface EmptyProps {
  title: string
  children?: ReactNode
  action?: ReactNode
}

export function Empty({ title, children, action }: EmptyProps) {
  return (
    <div className="flex flex-col items-center gap-3 px-4 py-10 text-center">
      <svg viewBox="0 0 48 48" className="size-11 text-line-strong" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden>
        <circle cx="24" cy="24" r="17" strokeDasharray="11.5 6.3" />
        <circle cx="24" cy="24" r="4.5" />
      </svg>
      <h2 className="text-base font-semibold">{title}</h2>
      <div className="flex w-full max-w-[62ch] flex-col items-center gap-3 text-sm text-ink-2">{children}</div>
      {action}
    </div>
  )
}

/** The title, message and hint of an error, in the words of the API. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const known = error instanceof ApiError ? error : null
  return (
    <div role="alert" className="flex gap-3 rounded-lg border border-bad bg-bad-soft px-3.5 py-3 text-sm">
      <CircleAlert className="mt-0.5 size-4 shrink-0 text-bad" aria-hidden />
      <div className="min-w-0 flex-1">
        <p className="font-semibold">{known?.title ?? 'Something went wrong'}</p>
        <p className="break-words text-ink-2">{error instanceof Error ? error.message : String(error)}</p>
        {known?.hint && <p className="mt-1 break-words">{known.hint}</p>}
        {known?.requestId && <p className="mt-1 font-mono text-xs break-all text-ink-2">{known.requestId}</p>}
      </div>
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  )
}

interface QueryStateProps<T> {
  query: UseQueryResult<T>
  loading?: ReactNode
  children: (data: T) => ReactNode
}

/** Shows old data while new data loads; shows an error only when there is nothing better. */
export function QueryState<T>({ query, loading, children }: QueryStateProps<T>) {
  if (query.data !== undefined) return <>{children(query.data)}</>
  if (query.isError) {
    return (
      <div className="p-4">
        <ErrorNote error={query.error} retry={() => void query.refetch()} />
      </div>
    )
  }
  return <>{loading ?? <SkeletonRows />}</>
}
