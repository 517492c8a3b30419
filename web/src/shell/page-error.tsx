/** What is left when a page itself fails: say so, and offer to load it again. */
import { useRouteError } from 'react-router'
import { Button } from '../ui/button'
import { ErrorNote } from '../ui/states'

export function PageError() {
  const error = useRouteError()
  return (
    <div className="mx-auto flex max-w-2xl flex-col gap-4 p-6">
      <h1 className="text-xl font-semibold">This page failed</h1>
      <ErrorNote error={error} />
      <p className="text-sm text-ink-2">
        Nothing was changed on the server. If the server was just updated, loading the page again is enough.
      </p>
      <div>
        <Button look="primary" onClick={() => window.location.reload()}>
          Load again
        </Button>
      </div>
    </div>
  )
}
