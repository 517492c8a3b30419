/** How the console is built: hashed files below assets/, one chunk per page, no inline script. */
import react from '@vitejs/plugin-react'
import tailwindcss from '@tailwindcss/vite'
import { defineConfig } from 'vitest/config'

const server = process.env.PELTON_URL ?? 'http://127.0.0.1:7077'

export default defineConfig({
  plugins: [react(), tailwindcss(), buildStamp()],
  server: {
    port: 5173,
    proxy: { '/api': server, '/v1': server, '/healthz': server },
  },
  build: {
    outDir: 'dist',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    target: 'es2022',
  },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    testTimeout: 30_000,
    setupFiles: ['src/test-setup.ts'],
  },
})

/** A file that tells the binary that it carries the real console, not the page that says how to build it. */
function buildStamp() {
  return {
    name: 'pelton-build-stamp',
    apply: 'build' as const,
    generateBundle(this: { emitFile(file: { type: 'asset'; fileName: string; source: string }): void }) {
      this.emitFile({ type: 'asset', fileName: 'assets/build.json', source: '{"console":true}\n' })
    },
  }
}
