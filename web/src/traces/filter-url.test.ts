import { describe, expect, it } from 'vitest'
import { filterFromUrl, withFilter } from './filter-url'

describe('the filter in the address', () => {
  it('reads what it knows and nothing else', () => {
    const search = new URLSearchParams('endpoint=desk&status=&has_feedback=true&has_correction=maybe&limit=9999&text=B%20123')
    expect(filterFromUrl(search)).toEqual({ endpoint: 'desk', has_feedback: true, text: 'B 123' })
  })

  it('changes one part and keeps the rest', () => {
    const search = new URLSearchParams('endpoint=desk&text=bill')
    expect(withFilter(search, 'status', 'error').toString()).toBe('endpoint=desk&text=bill&status=error')
    expect(withFilter(search, 'text', '').toString()).toBe('endpoint=desk')
    expect(search.toString()).toBe('endpoint=desk&text=bill')
  })
})
