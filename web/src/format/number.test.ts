import { describe, expect, it } from 'vitest'
import { bytes, compact, cost, milliseconds, percent, points, seconds, significance } from './number'

describe('numbers as people read them', () => {
  it.each([
    [milliseconds(0.4), '<1 ms'],
    [milliseconds(8.25), '8.3 ms'],
    [milliseconds(110.4), '110 ms'],
    [milliseconds(61_500), '1 min 2 s'],
    [seconds(3.14159), '3.14 s'],
    [seconds(5400), '1 h 30 min'],
    [compact(9_999), '9,999'],
    [compact(14_516), '14.5K'],
    [percent(0.9523), '95.2%'],
    [bytes(999), '999 B'],
    [bytes(9_412_608), '9.4 MB'],
    [cost(38_700), '$0.000039'],
    [cost(2_500_000_000), '$2.50'],
    [cost(0), '$0'],
    [significance(0), 'p < 1e-12'],
    [significance(0.00042), 'p = 4.2e-4'],
    [significance(0.04999), 'p = 0.050'],
  ])('%s', (got, wanted) => {
    expect(got).toBe(wanted)
  })

  it('shows a dash for what is not known, never a zero', () => {
    for (const show of [milliseconds, seconds, compact, percent, bytes, cost]) expect(show(null)).toBe('–')
  })

  it('gives a difference a sign that cannot be missed', () => {
    expect(points(0.34)).toBe('+34.0 pts')
    expect(points(-0.008)).toBe('−0.8 pts')
  })
})
