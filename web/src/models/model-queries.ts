/** Models, and the releases made of them. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { get, path, send } from '../api/client'
import { CALM } from '../api/query-client'
import type { Gate, Lineage, Model, NewRelease, Page, Release } from '../api/types'

export function useModels() {
  return useQuery({
    queryKey: ['models'],
    queryFn: ({ signal }) => get<Page<Model>>(path(['models'], { limit: 200 }), signal),
    refetchInterval: CALM,
  })
}

export function useModel(ref: string) {
  return useQuery({ queryKey: ['models', ref], queryFn: ({ signal }) => get<Model>(path(['models', ref]), signal) })
}

export function useReleases() {
  return useQuery({
    queryKey: ['releases'],
    queryFn: ({ signal }) => get<Page<Release>>(path(['releases'], { limit: 200 }), signal),
    refetchInterval: CALM,
  })
}

/** Releases name their gate by id; this is where its result is looked up. */
export function useGates() {
  return useQuery({
    queryKey: ['gates'],
    queryFn: ({ signal }) => get<Page<Gate>>(path(['gates'], { limit: 200 }), signal),
    staleTime: 30_000,
  })
}

/** The gate of a release as far as it is known: in full, by id only, or none. */
export function useGateOf(gate: Release['gate']): Gate | string | null {
  const gates = useGates()
  if (typeof gate !== 'string') return gate
  return gates.data?.items.find((known) => known.id === gate) ?? gate
}

export function useLineage(releaseId: string) {
  return useQuery({
    queryKey: ['releases', releaseId, 'lineage'],
    queryFn: ({ signal }) => get<Lineage>(path(['releases', releaseId, 'lineage']), signal),
  })
}

export function useCreateRelease() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (release: NewRelease) => send<Release>('POST', path(['releases']), release),
    onSuccess: () => client.invalidateQueries({ queryKey: ['releases'] }),
  })
}
