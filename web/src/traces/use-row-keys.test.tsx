import { act, fireEvent, renderHook } from '@testing-library/react'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { useRowKeys } from './use-row-keys'

function press(key: string, on: Element = document.body) {
  act(() => {
    fireEvent.keyDown(on, { key })
  })
}

beforeAll(() => {
  Element.prototype.scrollIntoView = () => undefined
})

describe('rows by keyboard', () => {
  it('moves within the list and opens the chosen row', () => {
    const open = vi.fn()
    const { result } = renderHook(() => useRowKeys(['a', 'b'], open))
    expect(result.current).toBeUndefined()
    for (const key of ['j', 'j', 'j', 'k', 'k']) press(key)
    expect(result.current).toBe(0)
    press('j')
    press('Enter')
    expect(open.mock.calls).toEqual([['b']])
  })

  it('keeps to its row when newer rows come in above it', () => {
    const open = vi.fn()
    const { result, rerender } = renderHook(({ ids }) => useRowKeys(ids, open), { initialProps: { ids: ['a', 'b'] } })
    press('j')
    rerender({ ids: ['new', 'newer', 'a', 'b'] })
    expect(result.current).toBe(2)
    press('Enter')
    expect(open).toHaveBeenCalledWith('a')
  })

  it('leaves keys alone while someone types', () => {
    const { result } = renderHook(() => useRowKeys(['a'], vi.fn()))
    const input = document.body.appendChild(document.createElement('input'))
    press('j', input)
    expect(result.current).toBeUndefined()
    input.remove()
  })
})
