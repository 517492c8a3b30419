import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { render, screen, waitFor } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Trace } from '../api/types'
import { ToastProvider } from '../ui/toast'
import { FeedbackPanel } from './feedback-panel'

const trace = { id: 'inf_1', output: 'wrong', feedback_items: [] } as unknown as Trace

function show(fetch: (address: string, init: RequestInit) => Promise<Response>) {
  vi.stubGlobal('fetch', fetch)
  render(
    <QueryClientProvider client={new QueryClient()}>
      <ToastProvider>
        <FeedbackPanel trace={trace} />
      </ToastProvider>
    </QueryClientProvider>,
  )
}

afterEach(() => vi.unstubAllGlobals())

describe('feedback', () => {
  it('sends a correction with a score of zero, and only when something changed', async () => {
    const sent: unknown[] = []
    show((_address, init) => {
      sent.push(JSON.parse(init.body as string))
      return Promise.resolve(new Response('{}', { status: 201 }))
    })
    const user = userEvent.setup()
    await user.click(screen.getByRole('button', { name: 'Write a correction' }))
    const save = screen.getByRole<HTMLButtonElement>('button', { name: 'Save' })
    expect(save.disabled).toBe(true)
    await user.clear(screen.getByLabelText('Correct answer'))
    await user.type(screen.getByLabelText('Correct answer'), 'right')
    await user.click(save)
    await waitFor(() => expect(screen.getByText('Correction saved')).toBeTruthy())
    expect(sent).toEqual([{ inference_id: 'inf_1', source: 'human', score: 0, correction: 'right', label: null, comment: null }])
  })

  it('shows the hint of a refused score', async () => {
    show(() =>
      Promise.resolve(
        new Response(
          JSON.stringify({
            error: { code: 'forbidden', title: 'Not allowed', message: 'the key may only read', hint: 'use a key with the scope write' },
          }),
          { status: 403 },
        ),
      ),
    )
    await userEvent.setup().click(screen.getByRole('button', { name: 'Good' }))
    expect((await screen.findByRole('alert')).textContent).toContain('use a key with the scope write')
  })
})
