/** Jobs with their live metrics and logs. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { get, path, send } from '../api/client'
import { CALM } from '../api/query-client'
import type { Job, JobKind, JobState, LogLine, MetricPoint, NewFinetune, Page } from '../api/types'

const QUICK = 1200

export function isActive(state: JobState): boolean {
  return state === 'queued' || state === 'running'
}

export function useJobs(filter: { kind?: JobKind | ''; state?: JobState | '' } = {}) {
  return useQuery({
    queryKey: ['jobs', filter],
    queryFn: ({ signal }) => get<Page<Job>>(path(['jobs'], { ...filter, limit: 200 }), signal),
    refetchInterval: (query) => (query.state.data?.items.some((job) => isActive(job.state)) ? QUICK : CALM),
  })
}

/** One job, followed until it ends; then everything it may have made is read again. */
export function useJob(id: string | null) {
  const client = useQueryClient()
  const query = useQuery({
    queryKey: ['job', id],
    queryFn: ({ signal }) => get<Job>(path(['jobs', id ?? '']), signal),
    enabled: id !== null,
    refetchInterval: (q) => (q.state.data && !isActive(q.state.data.state) ? false : QUICK),
  })
  const state = query.data?.state
  const wasActive = useRef(false)
  useEffect(() => {
    if (state && isActive(state)) wasActive.current = true
    else if (state && wasActive.current) {
      wasActive.current = false
      for (const key of ['jobs', 'datasets', 'models', 'evaluations', 'overview']) void client.invalidateQueries({ queryKey: [key] })
    }
  }, [state, client])
  return query
}

/** All points so far; each poll asks only for what came after the last one. */
export function useMetrics(id: string, active: boolean) {
  const client = useQueryClient()
  const queryKey = ['job', id, 'metrics']
  return useQuery({
    queryKey,
    queryFn: async ({ signal }) => {
      const known = client.getQueryData<MetricPoint[]>(queryKey) ?? []
      return [...known, ...(await since<MetricPoint>(id, 'metrics', known, signal))]
    },
    refetchInterval: active ? QUICK : false,
    staleTime: active ? 0 : 4000,
  })
}

export function useLogs(id: string, active: boolean) {
  const client = useQueryClient()
  const queryKey = ['job', id, 'logs']
  return useQuery({
    queryKey,
    queryFn: async ({ signal }) => {
      const known = client.getQueryData<LogLine[]>(queryKey) ?? []
      return [...known, ...(await since<LogLine>(id, 'logs', known, signal))]
    },
    refetchInterval: active ? QUICK : false,
    staleTime: active ? 0 : 4000,
  })
}

const BATCH = 1000
/** A server may give fewer than asked for; only an answer shorter than this is surely the last. */
const SMALLEST_CAP = 100

async function since<T extends { seq: number }>(id: string, what: 'metrics' | 'logs', known: T[], signal: AbortSignal): Promise<T[]> {
  const found: T[] = []
  let after = known.at(-1)?.seq ?? -1
  for (;;) {
    const { items } = await get<{ items: T[] }>(path(['jobs', id, what], { after, limit: BATCH }), signal)
    const fresh = items.filter((item) => item.seq > after)
    found.push(...fresh)
    if (items.length < SMALLEST_CAP || fresh.length === 0) return found
    after = fresh.at(-1)?.seq ?? after
  }
}

export function useCancelJob(id: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: () => send<Job>('POST', path(['jobs', id, 'cancel'])),
    onSuccess: () => Promise.all([client.invalidateQueries({ queryKey: ['job', id] }), client.invalidateQueries({ queryKey: ['jobs'] })]),
  })
}

export function useStartFinetune() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (finetune: NewFinetune) => send<Job>('POST', path(['finetunes']), finetune),
    onSuccess: () => client.invalidateQueries({ queryKey: ['jobs'] }),
  })
}
