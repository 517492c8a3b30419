/** Evaluations, their samples, comparisons of two, and gates over them. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { get, path, send } from '../api/client'
import { CALM } from '../api/query-client'
import type { Comparison, Evaluation, Gate, Job, NewEvaluation, NewGate, Page, Sample } from '../api/types'

export function useEvaluations() {
  return useQuery({
    queryKey: ['evaluations'],
    queryFn: ({ signal }) => get<Page<Evaluation>>(path(['evaluations'], { limit: 200 }), signal),
    refetchInterval: CALM,
  })
}

export function useEvaluation(id: string) {
  return useQuery({ queryKey: ['evaluations', id], queryFn: ({ signal }) => get<Evaluation>(path(['evaluations', id]), signal) })
}

export function useSamples(id: string, correct: boolean | null) {
  return useInfiniteQuery({
    queryKey: ['evaluations', id, 'samples', correct],
    queryFn: ({ pageParam, signal }) =>
      get<Page<Sample>>(path(['evaluations', id, 'samples'], { correct, limit: 20, cursor: pageParam }), signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    staleTime: Infinity,
  })
}

export function useComparison(baseline: string, candidate: string) {
  return useQuery({
    queryKey: ['comparison', baseline, candidate],
    queryFn: ({ signal }) => get<Comparison>(path(['evaluations', 'compare'], { baseline, candidate }), signal),
    enabled: baseline !== '' && candidate !== '' && baseline !== candidate,
    staleTime: Infinity,
  })
}

export function useStartEvaluation() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (evaluation: NewEvaluation) => send<Job>('POST', path(['evaluations']), evaluation),
    onSuccess: () => client.invalidateQueries({ queryKey: ['jobs'] }),
  })
}

export function useDecideGate() {
  return useMutation({ mutationFn: (gate: NewGate) => send<Gate>('POST', path(['gates']), gate) })
}
