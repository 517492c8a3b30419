/**
 * The one place that talks to the server: adds the key, reads the error shape, and says when a
 * key is needed.
 */
import type { ApiErrorBody } from './types'

const KEY_NAME = 'pelton.api_key'

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly hint: string | null
  readonly requestId: string | null

  constructor(status: number, body: Partial<ApiErrorBody>) {
    super(body.message ?? `the server answered ${status}`)
    this.name = 'ApiError'
    this.status = status
    this.code = body.code ?? 'unknown'
    this.title = body.title ?? (status === 0 ? 'No connection' : `Error ${status}`)
    this.hint = body.hint ?? null
    this.requestId = body.request_id ?? null
  }
}

let storedKey: string | null = readKey()
const keyListeners = new Set<() => void>()

function readKey(): string | null {
  try {
    return sessionStorage.getItem(KEY_NAME) ?? localStorage.getItem(KEY_NAME)
  } catch {
    return null
  }
}

/** The key in use, or null. It lives in this tab, and in the browser only when the person asked for it. */
export function apiKey(): string | null {
  return storedKey
}

export function setApiKey(key: string | null, remember: boolean) {
  storedKey = key
  try {
    sessionStorage.removeItem(KEY_NAME)
    localStorage.removeItem(KEY_NAME)
    if (key) (remember ? localStorage : sessionStorage).setItem(KEY_NAME, key)
  } catch {
    // Blocked storage: the key then lives as long as this page.
  }
  keyListeners.forEach((listener) => listener())
}

export function onApiKeyChange(listener: () => void): () => void {
  keyListeners.add(listener)
  return () => keyListeners.delete(listener)
}

type Query = Record<string, string | number | boolean | null | undefined>

/** A path below `/api/v1`, with its query; values that are null, undefined or empty are left out. */
export function path(segments: string[], query: Query = {}): string {
  const address = '/api/v1/' + segments.map(encodeURIComponent).join('/')
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value))
  }
  const text = search.toString()
  return text ? `${address}?${text}` : address
}

async function request<T>(method: string, address: string, init: RequestInit = {}): Promise<T> {
  const headers = new Headers(init.headers)
  headers.set('accept', 'application/json')
  if (storedKey && !headers.has('authorization')) headers.set('authorization', `Bearer ${storedKey}`)
  let response: Response
  try {
    response = await fetch(address, { ...init, method, headers })
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause
    throw new ApiError(0, {
      code: 'unreachable',
      title: 'No connection to the server',
      message: 'The server did not answer.',
      hint: 'Check that "pelton up" is running; this page tries again by itself.',
    })
  }
  if (!response.ok) throw new ApiError(response.status, await errorBody(response))
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

async function errorBody(response: Response): Promise<Partial<ApiErrorBody>> {
  try {
    const body = (await response.json()) as { error?: Partial<ApiErrorBody> | string }
    if (typeof body.error === 'object') return body.error
    return { message: typeof body.error === 'string' ? body.error : response.statusText }
  } catch {
    return { message: response.statusText || `the server answered ${response.status}` }
  }
}

export function get<T>(address: string, signal?: AbortSignal): Promise<T> {
  return request<T>('GET', address, { signal })
}

/** Whether the server accepts a key that is not in use yet. Throws what the server says against it. */
export async function checkKey(key: string): Promise<void> {
  await request('GET', path(['overview']), { headers: { authorization: `Bearer ${key}` } })
}

export function send<T>(method: 'POST' | 'PUT' | 'DELETE', address: string, body?: unknown): Promise<T> {
  return request<T>(method, address, {
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
}

/** Streams a file to the blob store and returns its digest. */
export function upload(file: Blob): Promise<{ digest: string; size: number }> {
  return request('PUT', '/api/v1/blobs', {
    headers: { 'content-type': 'application/octet-stream' },
    body: file,
  })
}

/** Saves what an address answers as a file; a plain link could not carry the key. */
export async function download(address: string, fileName: string): Promise<void> {
  const response = await fetch(address, { headers: storedKey ? { authorization: `Bearer ${storedKey}` } : {} })
  if (!response.ok) throw new ApiError(response.status, await errorBody(response))
  const url = URL.createObjectURL(await response.blob())
  const link = document.createElement('a')
  link.href = url
  link.download = fileName
  link.click()
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
