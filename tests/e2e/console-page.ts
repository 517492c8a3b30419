/**
 * A browser page that is signed in, and fails its test when the console logs an error or calls
 * something that the server does not publish.
 */
import { type APIRequestContext, test as base, expect, type Page } from '@playwright/test'

const KEY = process.env.PELTON_API_KEY

interface Fixtures {
  /** Answers of the server that a test provokes on purpose; the browser logs them as errors. */
  expectedStatuses: number[]
}

export const test = base.extend<Fixtures>({
  expectedStatuses: async ({}, use) => use([]),
  extraHTTPHeaders: async ({}, use) => use(KEY ? { authorization: `Bearer ${KEY}` } : {}),
  page: async ({ page, request, expectedStatuses }, use) => {
    if (KEY) await page.addInitScript((key) => sessionStorage.setItem('pelton.api_key', key), KEY)
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(`uncaught: ${error.message}`))
    page.on('console', (message) => {
      if (message.type() !== 'error') return
      const expected = expectedStatuses.some((status) => message.text().includes(`status of ${status}`))
      if (!expected) problems.push(`${message.text()} (${message.location().url})`)
    })
    const calls = new Set<string>()
    page.on('request', (sent) => {
      const { pathname } = new URL(sent.url())
      if (pathname.startsWith('/api/')) calls.add(`${sent.method()} ${pathname}`)
    })
    await use(page)
    expect(problems, 'errors on the browser console').toEqual([])
    const operations = await publishedOperations(request)
    const unknown = [...calls].filter((call) => !operations.some((operation) => operation.test(call)))
    expect(unknown, 'calls that the OpenAPI document does not have').toEqual([])
  },
})

/** The operations of the server's own OpenAPI document, as patterns of `METHOD /path`. */
async function publishedOperations(request: APIRequestContext): Promise<RegExp[]> {
  const response = await request.get('/api/openapi.json')
  expect(response.ok(), 'GET /api/openapi.json').toBe(true)
  const { paths } = (await response.json()) as {
    paths: Record<string, Record<string, unknown>>
  }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(
      (method) => new RegExp(`^${method.toUpperCase()} ${path.replace(/[.]/g, '\\.').replace(/\{[^}]+\}/g, '[^/]+')}$`),
    ),
  )
}

export { expect }

/** Goes to an address of the console and waits until its data is there. */
export async function open(page: Page, address: string, heading?: string | RegExp) {
  await page.goto(address)
  const title = page.getByRole('heading', { level: 1 })
  if (heading) await expect(title).toHaveText(heading)
  else await expect(title).toBeVisible()
  await expect(page.getByText('Loading', { exact: true })).toHaveCount(0)
}
