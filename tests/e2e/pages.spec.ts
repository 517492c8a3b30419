/**
 * Every page in both themes: no serious accessibility problem, no error on the console, nothing
 * wider than a phone. Works on whatever the server holds; with PELTON_SCREENSHOTS set to a folder
 * it also takes the pictures of the README there.
 */
import { AxeBuilder } from '@axe-core/playwright'
import type { APIRequestContext, Page } from '@playwright/test'
import { expect, open, test } from './console-page'

const SHOTS = process.env.PELTON_SCREENSHOTS

interface Place {
  name: string
  address: string
}

interface Listed {
  id: string
  name: string
}

async function list<T>(request: APIRequestContext, noun: string): Promise<T[]> {
  const response = await request.get(`/api/v1/${noun}`)
  expect(response.ok(), `GET ${noun}`).toBe(true)
  return ((await response.json()) as { items: T[] }).items
}

/** All pages, with the item that shows most where a page needs one. */
async function places(request: APIRequestContext): Promise<Place[]> {
  const found: Place[] = ['', 'traces', 'datasets', 'training', 'evaluations', 'models', 'endpoints', 'settings'].map((name) => ({
    name: name || 'overview',
    address: `/${name}`,
  }))
  const [trace] = await list<Listed>(request, 'traces?has_correction=true&limit=1')
  if (trace) found.push({ name: 'trace', address: `/traces/${trace.id}` })
  const datasets = await list<{
    name: string
    latest: { version: number; rows: { train: number } } | null
  }>(request, 'datasets')
  const dataset = datasets.filter((d) => d.latest).sort((a, b) => b.latest!.rows.train - a.latest!.rows.train)[0]
  if (dataset)
    found.push({
      name: 'dataset',
      address: `/datasets/${dataset.name}/${dataset.latest!.version}`,
    })
  const jobs = await list<Listed & { spec: { shuffle_labels?: boolean }; result: { steps?: number } | null }>(
    request,
    'jobs?kind=finetune&state=succeeded',
  )
  // A control with shuffled answers learns nothing and shows nothing.
  const honest = jobs.filter((j) => !j.spec.shuffle_labels)
  const job = (honest.length > 0 ? honest : jobs).sort((a, b) => (b.result?.steps ?? 0) - (a.result?.steps ?? 0))[0]
  if (job) found.push({ name: 'training-run', address: `/training/${job.id}` })
  const evaluations = await list<Measured>(request, 'evaluations?limit=200')
  const pair = comparable(evaluations)
  if (evaluations[0])
    found.push({
      name: 'evaluation',
      address: `/evaluations/${evaluations[0].id}`,
    })
  if (pair)
    found.push({
      name: 'comparison',
      address: `/evaluations/compare?baseline=${pair[0]}&candidate=${pair[1]}`,
    })
  const releases = await list<Listed & { bundle: { adapter?: string | null } }>(request, 'releases')
  const release = releases.find((r) => r.bundle.adapter) ?? releases[0]
  if (release) found.push({ name: 'release', address: `/releases/${release.id}` })
  const [model] = await list<{ ref: string }>(request, 'models')
  if (model)
    found.push({
      name: 'model',
      address: `/models/${encodeURIComponent(model.ref)}`,
    })
  const endpoints = await list<Listed & { rollout: unknown; history: unknown[] }>(request, 'endpoints')
  const endpoint = endpoints.sort(
    (a, b) => Number(b.rollout !== null) - Number(a.rollout !== null) || b.history.length - a.history.length,
  )[0]
  if (endpoint) found.push({ name: 'endpoint', address: `/endpoints/${endpoint.name}` })
  return found
}

interface Measured extends Listed {
  suite: unknown
  target: { model?: string; adapter?: string | null }
  exact_match: { value: number }
}

/** The best of a base model and the best adapter on the same test split; else any two of one suite. */
function comparable(evaluations: Measured[]): [string, string] | null {
  const pairs = evaluations.flatMap((a) =>
    evaluations.filter((b) => a.id !== b.id && JSON.stringify(a.suite) === JSON.stringify(b.suite)).map((b) => ({ a, b })),
  )
  const tuned = pairs.filter(
    ({ a, b }) => a.target.model && !a.target.adapter && b.target.adapter && JSON.stringify(a.suite).includes('dataset'),
  )
  const score = (measured: Measured) => measured.exact_match.value
  const [best] = tuned.sort((one, other) => score(other.b) - score(one.b) || score(other.a) - score(one.a))
  const chosen = best ?? pairs[0]
  return chosen ? [chosen.a.id, chosen.b.id] : null
}

async function settle(page: Page, address: string) {
  await open(page, address)
  await page.evaluate(() => document.fonts.ready)
}

for (const theme of ['light', 'dark'] as const) {
  test(`${theme}: no serious accessibility problem on any page`, async ({ page, request }) => {
    test.setTimeout(5 * 60_000)
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    for (const { name, address } of await places(request)) {
      await test.step(name, async () => {
        await settle(page, address)
        if (SHOTS)
          await page.screenshot({
            path: `${SHOTS}/${name}-${theme}.png`,
          })
        const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']).analyze()
        const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
        expect(
          serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' | ')}`),
          `${name} (${theme})`,
        ).toEqual([])
      })
    }
  })
}

test('dialogs are accessible, closed by Escape, and give the focus back', async ({ page }) => {
  for (const [address, button] of [
    ['/datasets', 'Build a version'],
    ['/training', 'New fine-tune'],
    ['/evaluations', 'New evaluation'],
    ['/models', 'New release'],
    ['/endpoints', 'New endpoint'],
    ['/settings', 'New key'],
  ] as const) {
    await test.step(button, async () => {
      await open(page, address)
      const opener = page.getByRole('button', { name: button }).first()
      await opener.click()
      await expect(page.getByRole('dialog')).toBeVisible()
      const { violations } = await new AxeBuilder({ page }).include('dialog').analyze()
      expect(
        violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id),
        button,
      ).toEqual([])
      await page.keyboard.press('Escape')
      await expect(page.getByRole('dialog')).toHaveCount(0)
      await expect(opener).toBeFocused()
    })
  }
})

test('a phone shows every page without scrolling sideways', async ({ page, request }) => {
  test.setTimeout(3 * 60_000)
  await page.setViewportSize({ width: 390, height: 844 })
  for (const { name, address } of await places(request)) {
    await settle(page, address)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    expect(width, name).toBeLessThanOrEqual(390)
  }
  await page.getByRole('button', { name: 'Menu' }).click()
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Traces' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Traces')
})

test('the keyboard reaches the content, the sections and the list of shortcuts', async ({ page }) => {
  await open(page, '/')
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.locator('#content')).toBeFocused()
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible()
  await page.keyboard.press('Escape')
  await page.keyboard.press('g')
  await page.keyboard.press('d')
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Datasets')
})

test('the chosen theme stays after a reload', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' })
  await open(page, '/')
  await page.getByRole('button', { name: 'Theme: system' }).click()
  await page.getByRole('menuitemradio', { name: 'Dark' }).click()
  await page.reload()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
  const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  expect(background).toBe('rgb(11, 19, 18)')
})

test.describe('what is not there', () => {
  test.use({ expectedStatuses: [404] })
  test('an unknown address and an unknown trace say so', async ({ page }) => {
    await open(page, '/nowhere', 'Nothing here')
    await page.goto('/traces/inf_01900000000070008000000000000000')
    await expect(page.getByRole('alert').first()).toBeVisible()
  })
})
