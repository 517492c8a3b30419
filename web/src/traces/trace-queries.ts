/** Reading traces and writing feedback on them. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { get, path, send } from '../api/client'
import { LIVE } from '../api/query-client'
import type { Feedback, NewFeedback, Page, Trace, TraceFilter, TraceSummary } from '../api/types'

const PAGE = 50

/** Pages of traces, newest first; new ones appear while only the first page is shown. */
export function useTraces(filter: TraceFilter) {
  return useInfiniteQuery({
    queryKey: ['traces', filter],
    queryFn: ({ pageParam, signal }) => get<Page<TraceSummary>>(path(['traces'], { ...filter, limit: PAGE, cursor: pageParam }), signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 ? false : LIVE),
    placeholderData: (previous) => previous,
  })
}

export function useTrace(id: string) {
  return useQuery({ queryKey: ['trace', id], queryFn: ({ signal }) => get<Trace>(path(['traces', id]), signal) })
}

export function useGiveFeedback(id: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (feedback: Omit<NewFeedback, 'inference_id' | 'source'>) =>
      send<Feedback>('POST', path(['feedback']), { inference_id: id, source: 'human', ...feedback }),
    onSuccess: () =>
      Promise.all([
        client.invalidateQueries({ queryKey: ['trace', id] }),
        client.invalidateQueries({ queryKey: ['traces'] }),
        client.invalidateQueries({ queryKey: ['overview'] }),
      ]),
  })
}
