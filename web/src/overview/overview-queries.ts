import { useQuery } from '@tanstack/react-query'
import { get, path } from '../api/client'
import { LIVE } from '../api/query-client'
import type { Overview } from '../api/types'

export function useOverview() {
  return useQuery({ queryKey: ['overview'], queryFn: ({ signal }) => get<Overview>(path(['overview']), signal), refetchInterval: LIVE })
}
