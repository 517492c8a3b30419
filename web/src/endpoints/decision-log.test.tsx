import { render, screen, within } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import type { Decision } from '../api/types'
import { DecisionLog, foldHolds } from './decision-log'

const side = (requests: number, errors: number) => ({ requests, errors, score_mean: 0.9, scores: 12 })
const decision = (second: number, action: Decision['action'], stage = 0): Decision => ({
  at: `2026-03-01T10:00:${String(second).padStart(2, '0')}Z`,
  action,
  reason: `reason ${second}`,
  stage,
  observed: { baseline: side(200, 4), candidate: side(50, 0) },
})

describe('the decisions of a rollout', () => {
  it('folds a run of holds at one stage, keeping the newest reason', () => {
    const folded = foldHolds([
      decision(1, 'start'),
      decision(2, 'hold'),
      decision(3, 'hold'),
      decision(4, 'advance', 1),
      decision(5, 'hold', 1),
    ])
    expect(folded.map((f) => [f.decision.reason, f.repeated])).toEqual([
      ['reason 1', 1],
      ['reason 3', 2],
      ['reason 4', 1],
      ['reason 5', 1],
    ])
  })

  it('shows the newest first, with what was observed', () => {
    render(<DecisionLog decisions={[decision(1, 'start'), decision(2, 'roll_back')]} />)
    const items = within(screen.getByRole('list', { name: 'Decisions' })).getAllByRole('listitem')
    expect(items[0]?.textContent).toContain('roll back')
    expect(items[0]?.textContent).toContain('baseline 200 requests, 2.0% errors')
    expect(items[1]?.textContent).toContain('start')
  })
})
