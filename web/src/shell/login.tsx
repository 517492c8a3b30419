/** Asks for an API key when the server wants one, and checks it before going on. */
import { useQueryClient } from '@tanstack/react-query'
import { type SubmitEvent, useState } from 'react'
import { checkKey, setApiKey } from '../api/client'
import { Button } from '../ui/button'
import { CheckField, TextField } from '../ui/field'
import { Snippet } from '../ui/snippet'
import { ErrorNote } from '../ui/states'
import { Mark } from './mark'

export function Login({ rejected }: { rejected: boolean }) {
  const client = useQueryClient()
  const [key, setKey] = useState('')
  const [remember, setRemember] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)

  async function submit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault()
    setBusy(true)
    setError(null)
    try {
      await checkKey(key.trim())
    } catch (cause) {
      setError(cause)
      setBusy(false)
      return
    }
    // What was refused before is asked again once this page makes way for the one it hid.
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== 'server' })
    setApiKey(key.trim(), remember)
  }

  return (
    <main className="flex min-h-dvh items-center justify-center p-4">
      <div className="w-full max-w-md rounded-2xl border border-line bg-surface p-6 shadow-float">
        <div className="mb-5 flex items-center gap-2.5">
          <Mark className="size-9" />
          <h1 className="text-xl font-semibold">Sign in to Pelton</h1>
        </div>
        <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
          <TextField
            label="API key"
            type="password"
            name="api-key"
            placeholder="pk_…"
            value={key}
            onChange={(event) => setKey(event.target.value)}
            required
            hint={
              rejected
                ? 'The last key is no longer accepted.'
                : 'A key with the scope read shows everything; write and admin also change it.'
            }
          />
          <CheckField
            label="Keep me signed in on this browser"
            checked={remember}
            onChange={(event) => setRemember(event.target.checked)}
          />
          {error ? <ErrorNote error={error} /> : null}
          <Button type="submit" look="primary" busy={busy}>
            Sign in
          </Button>
        </form>
        <div className="mt-5 border-t border-line pt-4 text-sm text-ink-2">
          <p className="mb-2">No key yet? On the server's machine:</p>
          <Snippet code="pelton key create me --scope admin" />
        </div>
      </div>
    </main>
  )
}
