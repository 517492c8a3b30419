import { QueryClientProvider } from '@tanstack/react-query'
import { render, screen, waitFor } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { createMemoryRouter, RouterProvider } from 'react-router'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { apiKey, setApiKey } from '../api/client'
import { makeQueryClient } from '../api/query-client'
import { useOverview } from '../overview/overview-queries'
import { Shell } from './shell'

const SERVER = { version: '0.1.0', auth_required: true, project: { id: 'prj_1', name: 'default' }, started_at: '2026-03-01T10:00:00Z' }

/** A server that knows one key and counts what was asked without it. */
function startServer(authRequired: boolean, valid: { key: string }) {
  const refused: string[] = []
  vi.stubGlobal('fetch', (address: string, init: RequestInit) => {
    const json = (status: number, body: unknown) => Promise.resolve(new Response(JSON.stringify(body), { status }))
    if (address === '/api/v1/server') return json(200, { ...SERVER, auth_required: authRequired })
    if (authRequired && new Headers(init.headers).get('authorization') !== `Bearer ${valid.key}`) {
      refused.push(address)
      return json(401, { error: { code: 'unauthorized', title: 'A key is needed', message: 'not a valid key', hint: 'create one' } })
    }
    return json(200, { ok: true })
  })
  return refused
}

function Probe() {
  return <p>{useOverview().data ? 'the page' : 'waiting'}</p>
}

function show() {
  const client = makeQueryClient()
  const router = createMemoryRouter([{ element: <Shell />, children: [{ path: '/', element: <Probe /> }] }])
  render(
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  )
  return client
}

afterEach(() => {
  setApiKey(null, false)
  vi.unstubAllGlobals()
})

describe('signing in', () => {
  it('asks for no key when the server wants none', async () => {
    startServer(false, { key: '' })
    show()
    expect(await screen.findByText('the page')).toBeTruthy()
  })

  it('asks before any page asks the server, refuses a wrong key, and goes on with a right one', async () => {
    const refused = startServer(true, { key: 'pk_right' })
    show()
    const user = userEvent.setup()
    const field = await screen.findByLabelText('API key')
    expect(refused).toEqual([])
    await user.type(field, 'pk_wrong')
    await user.click(screen.getByRole('button', { name: 'Sign in' }))
    expect((await screen.findByRole('alert')).textContent).toContain('not a valid key')
    expect(apiKey()).toBeNull()
    await user.clear(screen.getByLabelText('API key'))
    await user.type(screen.getByLabelText('API key'), 'pk_right')
    await user.click(screen.getByRole('button', { name: 'Sign in' }))
    expect(await screen.findByText('the page')).toBeTruthy()
    expect(localStorage.getItem('pelton.api_key')).toBeNull()
  })

  it('comes back when the key is revoked while a page is open', async () => {
    const valid = { key: 'pk_right' }
    startServer(true, valid)
    setApiKey('pk_right', false)
    const client = show()
    expect(await screen.findByText('the page')).toBeTruthy()
    valid.key = 'pk_other'
    void client.invalidateQueries({ queryKey: ['overview'] })
    await waitFor(() => expect(screen.getByLabelText('API key')).toBeTruthy())
    expect(screen.getByText('The last key is no longer accepted.')).toBeTruthy()
  })
})
