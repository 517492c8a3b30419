/** Endpoints, their traffic, and rollouts on them. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { get, path, send } from '../api/client'
import { LIVE } from '../api/query-client'
import type { Endpoint, NewRollout, Page, Rollout } from '../api/types'

export function useEndpoints() {
  return useQuery({
    queryKey: ['endpoints'],
    queryFn: ({ signal }) => get<Page<Endpoint>>(path(['endpoints'], { limit: 200 }), signal),
    refetchInterval: LIVE,
  })
}

export function useEndpoint(name: string) {
  return useQuery({
    queryKey: ['endpoints', name],
    queryFn: ({ signal }) => get<Endpoint>(path(['endpoints', name]), signal),
    refetchInterval: LIVE,
  })
}

export function useRollouts() {
  return useQuery({
    queryKey: ['rollouts'],
    queryFn: ({ signal }) => get<Page<Rollout>>(path(['rollouts'], { limit: 100 }), signal),
    refetchInterval: LIVE,
  })
}

function useRefresh() {
  const client = useQueryClient()
  return () => Promise.all(['endpoints', 'rollouts', 'overview'].map((key) => client.invalidateQueries({ queryKey: [key] })))
}

export function useStartRollout() {
  return useMutation({ mutationFn: (rollout: NewRollout) => send<Rollout>('POST', path(['rollouts']), rollout), onSuccess: useRefresh() })
}

export function useEndRollout(id: string) {
  return useMutation({
    mutationFn: (how: 'promote' | 'rollback') => send<Rollout>('POST', path(['rollouts', id, how])),
    onSuccess: useRefresh(),
  })
}

export function useRollBackEndpoint(name: string) {
  return useMutation({ mutationFn: () => send<Endpoint>('POST', path(['endpoints', name, 'rollback']), {}), onSuccess: useRefresh() })
}

export function useSetTraffic() {
  return useMutation({
    mutationFn: ({ name, traffic }: { name: string; traffic: { release_id: string; weight: number }[] }) =>
      send<Endpoint>('PUT', path(['endpoints', name]), { traffic }),
    onSuccess: useRefresh(),
  })
}
