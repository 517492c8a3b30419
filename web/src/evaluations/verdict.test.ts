import { describe, expect, it } from 'vitest'
import { verdict } from './verdict'

const compared = (low: number, high: number, p_value: number) => ({
  difference: { value: (low + high) / 2, low, high },
  mcnemar: { only_baseline: 0, only_candidate: 0, p_value },
})

describe('what a comparison allows to be said', () => {
  it('claims a gain only when the interval and the test agree', () => {
    expect(verdict(compared(0.02, 0.1, 0.001)).title).toBe('better')
    expect(verdict(compared(0.001, 0.1, 0.06)).title).toBe('not settled')
  })

  it('says worse when all of the interval is below zero', () => {
    expect(verdict(compared(-0.1, -0.02, 0.001)).title).toBe('worse')
  })

  it('does not call the absence of evidence an equality', () => {
    const { title, text } = verdict(compared(-0.02, 0.03, 0.6))
    expect(title).toBe('no difference shown')
    expect(text).toContain('not a proof')
  })

  it('never says better for an interval that touches zero, whatever the p value', () => {
    expect(verdict(compared(0, 0.1, 0.01)).title).toBe('no difference shown')
  })
})
