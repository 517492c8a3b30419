/** Reading datasets and building versions of them. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { get, path, send, upload } from '../api/client'
import { CALM } from '../api/query-client'
import type { Dataset, DatasetDetail, DatasetRow, Job, NewDatasetVersion, Page, SplitName } from '../api/types'

export function useDatasets() {
  return useQuery({
    queryKey: ['datasets'],
    queryFn: ({ signal }) => get<Page<Dataset>>(path(['datasets'], { limit: 200 }), signal),
    refetchInterval: CALM,
  })
}

export function useDataset(name: string) {
  return useQuery({
    queryKey: ['datasets', name],
    queryFn: ({ signal }) => get<DatasetDetail>(path(['datasets', name]), signal),
    refetchInterval: CALM,
  })
}

export function useDatasetRows(name: string, version: number, split: SplitName) {
  return useInfiniteQuery({
    queryKey: ['datasets', name, version, 'rows', split],
    queryFn: ({ pageParam, signal }) =>
      get<Page<DatasetRow>>(path(['datasets', name, 'versions', String(version), 'rows'], { split, limit: 20, cursor: pageParam }), signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    staleTime: Infinity,
  })
}

export function useBuildVersion() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: async ({ name, file, version }: { name: string; file: File | null; version: NewDatasetVersion }) => {
      const body = file ? { ...version, source: { kind: 'blob' as const, digest: (await upload(file)).digest } } : version
      return send<Job>('POST', path(['datasets', name, 'versions']), body)
    },
    onSuccess: () => client.invalidateQueries({ queryKey: ['jobs'] }),
  })
}
