/** Drives the console of a running server (PELTON_URL) in the system's Chromium. */
import { defineConfig } from '@playwright/test'

const baseURL = process.env.PELTON_URL
if (!baseURL) throw new Error('set PELTON_URL to a running server, for example http://127.0.0.1:7077')

export default defineConfig({
  testDir: '.',
  testMatch: '*.spec.ts',
  workers: 1,
  fullyParallel: false,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  outputDir: process.env.PELTON_E2E_OUT ?? 'test-results',
  use: {
    baseURL,
    viewport: { width: 1440, height: 900 },
    screenshot: 'only-on-failure',
    trace: 'off',
    launchOptions: {
      executablePath: process.env.PELTON_CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
})
