/** A browser page that is signed in and fails its test when the console logs an error. */
import { test as base, expect, type Page } from '@playwright/test'

const KEY = process.env.PELTON_API_KEY

interface Fixtures {
  /** Answers of the server that a test provokes on purpose; the browser logs them as errors. */
  expectedStatuses: number[]
}

export const test = base.extend<Fixtures>({
  // eslint-disable-next-line no-empty-pattern
  expectedStatuses: async ({}, use) => use([]),
  extraHTTPHeaders: async ({}, use) => use(KEY ? { authorization: `Bearer ${KEY}` } : {}),
  page: async ({ page, expectedStatuses }, use) => {
    if (KEY) await page.addInitScript((key) => sessionStorage.setItem('pelton.api_key', key), KEY)
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(`uncaught: ${error.message}`))
    page.on('console', (message) => {
      if (message.type() !== 'error') return
      const expected = expectedStatuses.some((status) => message.text().includes(`status of ${status}`))
      if (!expected) problems.push(`${message.text()} (${message.location().url})`)
    })
    await use(page)
    expect(problems, 'errors on the browser console').toEqual([])
  },
})

export { expect }

/** Goes to an address of the console and waits until its data is there. */
export async function open(page: Page, address: string, heading?: string | RegExp) {
  await page.goto(address)
  const title = page.getByRole('heading', { level: 1 })
  if (heading) await expect(title).toHaveText(heading)
  else await expect(title).toBeVisible()
  await expect(page.getByText('Loading', { exact: true })).toHaveCount(0)
}
