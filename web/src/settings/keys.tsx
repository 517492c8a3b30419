/** The keys that exist, making one, and revoking one. */
import { KeyRound } from 'lucide-react'
import { useState } from 'react'
import type { CreatedKey, Key, Scope } from '../api/types'
import { Ago } from '../format/time'
import { Badge } from '../ui/badge'
import { Button } from '../ui/button'
import { Dialog, FormDialog } from '../ui/dialog'
import { CheckField, TextField } from '../ui/field'
import { Snippet } from '../ui/snippet'
import { Empty, QueryState } from '../ui/states'
import { Table } from '../ui/table'
import { useToast } from '../ui/toast'
import { useCreateKey, useKeys, useRevokeKey } from './settings-queries'

const SCOPES: { scope: Scope; what: string }[] = [
  { scope: 'inference', what: 'call the models' },
  { scope: 'read', what: 'see traces, datasets, models and results' },
  { scope: 'write', what: 'give feedback, build, train, evaluate' },
  { scope: 'admin', what: 'releases, traffic, keys' },
]

export function Keys() {
  const keys = useKeys()
  const [creating, setCreating] = useState(false)
  const [revoking, setRevoking] = useState<Key | null>(null)
  return (
    <div className="flex flex-col gap-3">
      <div className="flex justify-end">
        <Button look="primary" icon={<KeyRound className="size-4" aria-hidden />} onClick={() => setCreating(true)}>
          New key
        </Button>
      </div>
      <QueryState query={keys}>
        {({ items }) =>
          items.length > 0 ? (
            <Table
              label="API keys"
              rows={items}
              rowKey={(key) => key.id}
              columns={[
                { header: 'Name', cell: (key) => <span className="font-medium">{key.name}</span> },
                { header: 'Starts with', cell: (key) => <code>{key.prefix}…</code> },
                {
                  header: 'May',
                  cell: (key) => (
                    <span className="flex flex-wrap gap-1">
                      {key.scopes.map((scope) => (
                        <Badge key={scope}>{scope}</Badge>
                      ))}
                    </span>
                  ),
                },
                { header: 'Created', cell: (key) => <Ago at={key.created_at} />, className: 'text-ink-2' },
                { header: 'Last used', cell: (key) => <Ago at={key.last_used_at} />, className: 'text-ink-2' },
                {
                  header: <span className="sr-only">Action</span>,
                  align: 'right',
                  cell: (key) =>
                    key.revoked_at ? (
                      <Badge tone="warn">revoked</Badge>
                    ) : (
                      <Button look="danger" aria-label={`Revoke ${key.name}`} onClick={() => setRevoking(key)}>
                        Revoke
                      </Button>
                    ),
                },
              ]}
            />
          ) : (
            <Empty title="No keys">
              <p>A server that only listens on this machine needs none. Before it listens to others, create one for each application.</p>
              <Snippet code="pelton key create my-app --scope inference" />
            </Empty>
          )
        }
      </QueryState>
      {creating && <CreateDialog onClose={() => setCreating(false)} />}
      {revoking && <RevokeDialog apiKey={revoking} onClose={() => setRevoking(null)} />}
    </div>
  )
}

function CreateDialog({ onClose }: { onClose: () => void }) {
  const create = useCreateKey()
  const [name, setName] = useState('')
  const [scopes, setScopes] = useState<Scope[]>(['inference'])
  if (create.data) return <SecretDialog created={create.data} onClose={onClose} />
  return (
    <FormDialog
      title="New API key"
      submit="Create the key"
      busy={create.isPending}
      error={create.error}
      onClose={onClose}
      disabled={!name.trim() || scopes.length === 0}
      onSubmit={() => create.mutate({ name: name.trim(), scopes })}
    >
      <TextField
        label="Name"
        value={name}
        onChange={(e) => setName(e.target.value)}
        placeholder="my-app"
        hint="What uses it; it is shown in the audit trail."
        required
      />
      <fieldset className="flex flex-col gap-2.5">
        <legend className="mb-2 text-sm font-semibold">The key may</legend>
        {SCOPES.map(({ scope, what }) => (
          <CheckField
            key={scope}
            label={scope}
            hint={what}
            checked={scopes.includes(scope)}
            onChange={(e) => setScopes((all) => (e.target.checked ? [...all, scope] : all.filter((s) => s !== scope)))}
          />
        ))}
      </fieldset>
    </FormDialog>
  )
}

function SecretDialog({ created, onClose }: { created: CreatedKey; onClose: () => void }) {
  return (
    <Dialog
      title={`Key ${created.name} created`}
      description="This is the only time the whole key is shown. Only its hash is kept."
      onClose={onClose}
    >
      <Snippet code={created.secret} label="API key" />
      <div className="flex justify-end">
        <Button look="primary" onClick={onClose}>
          I have stored it
        </Button>
      </div>
    </Dialog>
  )
}

function RevokeDialog({ apiKey, onClose }: { apiKey: Key; onClose: () => void }) {
  const revoke = useRevokeKey()
  const toast = useToast()
  return (
    <FormDialog
      title={`Revoke ${apiKey.name}?`}
      description={
        <>
          Calls with the key that starts with <code>{apiKey.prefix}</code> are refused from now on. This cannot be undone; what the key did
          stays in the audit trail.
        </>
      }
      submit="Revoke the key"
      danger
      busy={revoke.isPending}
      error={revoke.error}
      onClose={onClose}
      onSubmit={() =>
        revoke.mutate(apiKey.id, {
          onSuccess: () => {
            toast(`${apiKey.name} revoked`)
            onClose()
          },
        })
      }
    />
  )
}
