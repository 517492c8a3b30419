import { describe, expect, it } from 'vitest'
import type { Lineage } from '../api/types'
import { lineageColumns } from './lineage-graph'

const base = {
  release: { id: 'rel_1', name: 'r', bundle: {} },
  model: null,
  adapter: null,
  dataset_version: null,
  training_job: null,
  hyperparameters: null,
  evaluations: [],
  gate: null,
  rows: null,
} as unknown as Lineage
const tuned = {
  ...base,
  model: { ref: 'tiny@1', license: 'Apache-2.0' },
  adapter: { ref: 'desk@1', base: 'tiny@1' },
  dataset_version: { name: 'telco@3', dataset: 'telco', version: 3, rows: { train: 800, validation: 100, test: 100 } },
  training_job: { id: 'job_1', state: 'succeeded', started_at: '2026-03-01T10:00:00Z', ended_at: '2026-03-01T10:01:24Z' },
  gate: { id: 'gate_1', passed: false, rules: [], created_at: '' },
  rows: { total: 800, corrections: 400, sample: [{ hash: 'sha256:1', inference_id: 'inf_1' }] },
} as unknown as Lineage

const kinds = (l: Lineage, serving: { endpoint: string; weight: number }[] = []) =>
  lineageColumns(l, serving).map((column) => column.map((node) => node.kind))

describe('the way of a release', () => {
  it('leads from traces to the endpoints that serve it', () => {
    expect(kinds(tuned, [{ endpoint: 'desk', weight: 50 }])).toEqual([
      ['Traces'],
      ['Dataset', 'Base model'],
      ['Training'],
      ['Adapter', 'Checks'],
      ['Release'],
      ['Endpoint'],
    ])
  })

  it('is short for a base model, and has no traces for uploaded rows', () => {
    expect(kinds({ ...base, model: tuned.model })).toEqual([['Base model'], ['Release']])
    const uploaded = { ...tuned, rows: { total: 800, corrections: 0, sample: [{ hash: 'sha256:1', inference_id: null }] } }
    expect(kinds(uploaded)[0]).toEqual(['Dataset', 'Base model'])
  })

  it('does not hide a gate that failed', () => {
    const checks = lineageColumns(tuned, [])
      .flat()
      .find((node) => node.key === 'checks')
    expect(checks?.title).toBe('gate not passed')
  })
})
