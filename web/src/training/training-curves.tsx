/** The curves of a fine-tune while it runs: loss on training and validation, rate, gradient, speed. */
import { useMemo, useState } from 'react'
import type { Job, MetricPoint } from '../api/types'
import { LineChart, type Series } from '../charts/line-chart'
import { compact, short } from '../format/number'
import { CheckField } from '../ui/field'
import { Card } from '../ui/page'
import { QueryState } from '../ui/states'
import { isActive, useMetrics } from './job-queries'
import { smooth, thin } from './smooth'

type Value = keyof MetricPoint['values']

export function TrainingCurves({ job }: { job: Job }) {
  const metrics = useMetrics(job.id, isActive(job.state))
  const [log, setLog] = useState(false)
  const total = isActive(job.state) && job.progress?.unit?.startsWith('step') ? (job.progress.total ?? undefined) : undefined
  return (
    <QueryState query={metrics}>
      {(points) => (
        <>
          <Card title="Loss" actions={<CheckField label="Logarithmic" checked={log} onChange={(e) => setLog(e.target.checked)} />}>
            <LossChart points={points} log={log} xMax={total} />
          </Card>
          <div className="grid gap-5 md:grid-cols-3">
            <Small title="Learning rate" points={points} value="lr" />
            <Small title="Gradient norm" points={points} value="grad_norm" />
            <Small title="Tokens per second" points={points} value="tokens_per_s" format={compact} />
          </div>
        </>
      )}
    </QueryState>
  )
}

function LossChart({ points, log, xMax }: { points: MetricPoint[]; log: boolean; xMax?: number }) {
  const series = useMemo((): Series[] => {
    const train = take(points, 'loss')
    return [
      { name: 'training', color: 'var(--accent)', points: thin(smooth(train, 0.8), 600) },
      { name: 'validation', color: 'var(--bronze)', points: take(points, 'val_loss'), dots: true },
    ]
  }, [points])
  return <LineChart label="Loss by step" xLabel="step" series={series} height={280} log={log} xMax={xMax} />
}

function Small({
  title,
  points,
  value,
  format = short,
}: {
  title: string
  points: MetricPoint[]
  value: Value
  format?: (value: number) => string
}) {
  const series = useMemo(
    (): Series[] => [{ name: title.toLowerCase(), color: 'var(--accent)', points: thin(take(points, value), 300) }],
    [points, value, title],
  )
  return (
    <Card title={title}>
      <LineChart label={title} xLabel="step" series={series} height={150} format={format} />
    </Card>
  )
}

function take(points: MetricPoint[], value: Value): { x: number; y: number }[] {
  return points.flatMap((p) => {
    const y = p.values[value]
    return typeof y === 'number' ? [{ x: p.step, y }] : []
  })
}
