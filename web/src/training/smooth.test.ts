import { describe, expect, it } from 'vitest'
import { smooth, thin } from './smooth'

const curve = (ys: number[]) => ys.map((y, x) => ({ x, y }))

describe('smoothing', () => {
  it('has no bias at the start', () => {
    expect(smooth(curve([2, 2, 2]), 0.9).map((p) => p.y)).toEqual([2, 2, 2].map((y) => expect.closeTo(y, 10) as number))
  })

  it('leaves a curve alone at weight zero and lags near one', () => {
    expect(smooth(curve([1, 5, 3]), 0).map((p) => p.y)).toEqual([1, 5, 3])
    const [, late] = smooth(curve([0, 1]), 0.8)
    expect(late?.y).toBeCloseTo(1 / 1.8, 10)
  })

  it('keeps a value that is not finite where it is, and goes on after it', () => {
    const ys = smooth(curve([1, NaN, 1]), 0.5).map((p) => p.y)
    expect(ys[1]).toBeNaN()
    expect(ys[2]).toBeCloseTo(1, 10)
  })
})

describe('thinning', () => {
  it('keeps the ends and the number of points', () => {
    const thinned = thin(curve(Array.from({ length: 1000 }, (_, i) => i)), 50)
    expect(thinned).toHaveLength(50)
    expect(thinned[0]?.x).toBe(0)
    expect(thinned.at(-1)?.x).toBe(999)
  })

  it('does not touch a short curve', () => {
    const short = curve([3, 1, 2])
    expect(thin(short, 50)).toBe(short)
  })
})
