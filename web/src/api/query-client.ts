/** How long answers stay fresh and which errors are worth another try. */
import { QueryClient } from '@tanstack/react-query'
import { ApiError } from './client'

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2000,
        retry: (failures, error) => failures < 2 && worthRetrying(error),
        retryDelay: (attempt) => Math.min(4000, 500 * 2 ** attempt),
      },
      mutations: { retry: false },
    },
  })
}

/** A refusal stays a refusal; a server that does not answer may come back. */
export function worthRetrying(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500)
}

/** How often live pages ask again, in milliseconds. */
export const LIVE = 2000
export const CALM = 6000
