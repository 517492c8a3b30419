/** API keys and the audit trail. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { get, path, send } from '../api/client'
import type { AuditEntry, CreatedKey, Key, Page, Scope } from '../api/types'

export function useKeys() {
  return useQuery({ queryKey: ['keys'], queryFn: ({ signal }) => get<Page<Key>>(path(['keys'], { limit: 200 }), signal) })
}

export function useCreateKey() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (key: { name: string; scopes: Scope[] }) => send<CreatedKey>('POST', path(['keys']), key),
    onSuccess: () => Promise.all([client.invalidateQueries({ queryKey: ['keys'] }), client.invalidateQueries({ queryKey: ['audit'] })]),
  })
}

export function useRevokeKey() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (id: string) => send<Key | undefined>('DELETE', path(['keys', id])),
    onSuccess: () => Promise.all([client.invalidateQueries({ queryKey: ['keys'] }), client.invalidateQueries({ queryKey: ['audit'] })]),
  })
}

export function useAudit() {
  return useInfiniteQuery({
    queryKey: ['audit'],
    queryFn: ({ pageParam, signal }) => get<Page<AuditEntry>>(path(['audit'], { limit: 50, cursor: pageParam }), signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
  })
}
