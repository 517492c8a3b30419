/** What the server says about itself, and whether the current key is accepted. */
import { useQuery } from '@tanstack/react-query'
import { get, path } from '../api/client'
import type { Server } from '../api/types'

export function useServer() {
  return useQuery({
    queryKey: ['server'],
    queryFn: ({ signal }) => get<Server>(path(['server']), signal),
    refetchInterval: 15_000,
  })
}
