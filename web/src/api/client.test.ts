import { afterEach, describe, expect, it, vi } from 'vitest'
import { ApiError, get, path, send, setApiKey } from './client'

const answer = (status: number, body: unknown, type = 'application/json') =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers: { 'content-type': type } })

afterEach(() => {
  setApiKey(null, false)
  vi.unstubAllGlobals()
})

describe('addresses', () => {
  it('encodes each segment, so that a model name stays one segment', () => {
    expect(path(['models', 'pelton/pelton-tiny@1'])).toBe('/api/v1/models/pelton%2Fpelton-tiny%401')
  })

  it('leaves out what is empty but keeps false and zero', () => {
    expect(path(['traces'], { endpoint: '', model: null, cursor: undefined, has_feedback: false, limit: 0 })).toBe(
      '/api/v1/traces?has_feedback=false&limit=0',
    )
  })
})

describe('requests', () => {
  it('carries the key when there is one', async () => {
    const fetch = vi.fn<(address: string, init: RequestInit) => Promise<Response>>(() => Promise.resolve(answer(200, {})))
    vi.stubGlobal('fetch', fetch)
    await get('/api/v1/server')
    setApiKey('pk_secret', false)
    await get('/api/v1/server')
    const sent = fetch.mock.calls.map(([, init]) => new Headers(init.headers).get('authorization'))
    expect(sent).toEqual([null, 'Bearer pk_secret'])
  })

  it('keeps title, hint and request id of an error', async () => {
    vi.stubGlobal('fetch', () =>
      Promise.resolve(
        answer(409, {
          error: { code: 'gate_failed', title: 'The gate did not pass', message: 'refused', hint: 'override it', request_id: 'req_1' },
        }),
      ),
    )
    const error: unknown = await send('POST', '/api/v1/rollouts', {}).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({
      status: 409,
      code: 'gate_failed',
      title: 'The gate did not pass',
      message: 'refused',
      hint: 'override it',
      requestId: 'req_1',
    })
  })

  it('survives an error that is not JSON, and a server that is gone', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(answer(502, '<html>bad gateway</html>', 'text/html')))
    expect(await get('/api/v1/traces').catch((e: unknown) => e)).toMatchObject({ status: 502, code: 'unknown' })
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('failed to fetch')))
    expect(await get('/api/v1/traces').catch((e: unknown) => e)).toMatchObject({ status: 0, code: 'unreachable' })
  })
})
