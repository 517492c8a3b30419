import { describe, expect, it } from 'vitest'
import { readStages } from './stages-text'

describe('stages as typed', () => {
  it.each([
    ['10, 50, 100', [10, 50, 100]],
    ['5% 25%  100%', [5, 25, 100]],
    ['100', [100]],
  ])('%s', (text, stages) => {
    expect(readStages(text)).toEqual({ stages })
  })

  it.each(['', '0, 50', '10, 10', '50, 10', '10, 101', '1.5, 20', 'ten'])('refuses "%s" with a reason', (text) => {
    expect(readStages(text).problem).toMatch(/share/i)
  })
})
