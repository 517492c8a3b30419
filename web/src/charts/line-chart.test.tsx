import { fireEvent, render, screen } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import { decades, LineChart, linearDomain, nearest } from './line-chart'

describe('axes', () => {
  it('starts at zero when zero is near, and never below it for a loss', () => {
    expect(linearDomain(0.03, 1.4)[0]).toBe(0)
    const [low] = linearDomain(15_400, 16_700)
    expect(low).toBeGreaterThan(15_000)
  })

  it('has at least two logarithmic ticks inside the range', () => {
    for (const [low, high] of [
      [0.03, 1.4],
      [1, 9],
      [0.5, 0.9],
      [1e-5, 3],
    ] as const) {
      const ticks = decades(low, high)
      expect(ticks.length, `${low} to ${high}`).toBeGreaterThanOrEqual(1)
      for (const tick of ticks) expect(tick >= low * 0.9 && tick <= high * 1.1).toBe(true)
    }
  })

  it('reads the nearest point', () => {
    expect(nearest([{ x: 1 }, { x: 4 }, { x: 9 }], 6)?.x).toBe(4)
    expect(nearest([], 6)).toBeUndefined()
  })
})

describe('the chart', () => {
  const series = [
    {
      name: 'training',
      color: 'red',
      points: [
        { x: 1, y: 2 },
        { x: 2, y: 1 },
      ],
    },
    { name: 'validation', color: 'blue', points: [{ x: 2, y: 1.5 }], dots: true },
  ]

  it('says its numbers to a screen reader', () => {
    render(<LineChart label="Loss by step" xLabel="step" series={series} />)
    expect(screen.getByRole('img').getAttribute('aria-label')).toBe(
      'Loss by step: training from 2.000 to 1.000; validation from 1.500 to 1.500',
    )
  })

  it('reads all lines under the pointer', () => {
    render(<LineChart label="Loss" xLabel="step" series={series} />)
    fireEvent(screen.getByRole('img'), new MouseEvent('pointermove', { clientX: 590, bubbles: true }))
    expect(screen.getByText('step 2')).toBeTruthy()
    expect(screen.getByText('1.000')).toBeTruthy()
  })

  it('waits without points, and does not fail on values that are not finite', () => {
    const { rerender } = render(<LineChart label="Loss" xLabel="step" series={[{ name: 'training', color: 'red', points: [] }]} />)
    expect(screen.getByText('Waiting for the first step')).toBeTruthy()
    rerender(
      <LineChart
        label="Loss"
        xLabel="step"
        log
        series={[
          {
            name: 'training',
            color: 'red',
            points: [
              { x: 1, y: 3 },
              { x: 2, y: NaN },
              { x: 3, y: 0 },
            ],
          },
        ]}
      />,
    )
    expect(screen.getByRole('img').innerHTML).not.toContain('NaN')
  })
})
