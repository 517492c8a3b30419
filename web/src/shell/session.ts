/** Notices an answer of 401 anywhere, so that the sign-in page replaces a page full of errors. */
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { ApiError, onApiKeyChange } from '../api/client'

export function useRejectedKey(): boolean {
  const client = useQueryClient()
  const [rejected, setRejected] = useState(false)
  useEffect(() => {
    const isRefusal = (error: unknown) => error instanceof ApiError && error.status === 401
    const stopQueries = client.getQueryCache().subscribe((event) => {
      if (event.type === 'updated' && event.action.type === 'error' && isRefusal(event.action.error)) setRejected(true)
    })
    const stopMutations = client.getMutationCache().subscribe((event) => {
      if (event.type === 'updated' && event.action.type === 'error' && isRefusal(event.action.error)) setRejected(true)
    })
    const stopKeys = onApiKeyChange(() => setRejected(false))
    return () => {
      stopQueries()
      stopMutations()
      stopKeys()
    }
  }, [client])
  return rejected
}
