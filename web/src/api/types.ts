/**
 * The wire shapes of `/api/v1`, as the console reads and writes them.
 *
 * Instants are RFC 3339 strings; ids carry their kind as a prefix; what can be absent is null.
 */

export type Instant = string

export interface Page<T> {
  items: T[]
  next_cursor: string | null
}

export interface ApiErrorBody {
  code: string
  title: string
  message: string
  hint: string | null
  request_id: string | null
}

// ---- server and overview -------------------------------------------------------------------

export interface Server {
  version: string
  auth_required: boolean
  project: { id: string; name: string }
  started_at: Instant
}

export interface Overview {
  serve: {
    requests_24h: number
    errors_24h: number
    latency_p50_ms: number | null
    latency_p95_ms: number | null
    tokens_24h: number
  }
  observe: { traces: number; feedback: number; corrections: number }
  curate: { datasets: number; versions: number; rows: number }
  tune: { running: number; succeeded: number; latest: Job | null }
  evaluate: { evaluations: number; latest: Evaluation | null }
  release: { endpoints: number; releases: number; active_rollouts: Rollout[] }
  engine: { state: 'starting' | 'ready' | 'unavailable'; models: string[]; adapters: string[] }
  requests_series: { at: Instant; count: number; errors: number }[]
}

// ---- traces --------------------------------------------------------------------------------

export type TraceStatus = 'ok' | 'error' | 'cancelled' | 'partial'

export interface TraceSummary {
  id: string
  trace_id: string
  started_at: Instant
  endpoint: string | null
  release_id: string | null
  release_name: string | null
  model: string | null
  status: TraceStatus
  error_code: string | null
  streamed: boolean
  prompt_tokens: number | null
  completion_tokens: number | null
  cost_nanousd: number | null
  latency_ms: number | null
  ttft_ms: number | null
  preview_input: string
  preview_output: string
  feedback: { count: number; score: number | null; has_correction: boolean }
  tags: Record<string, string>
}

export interface Message {
  role: string
  content: unknown
  tool_calls?: unknown
}

export interface RouteAttempt {
  target: string
  status: number | string | null
  error: string | null
  latency_ms: number | null
}

export interface Trace extends TraceSummary {
  request: unknown
  response: unknown
  messages: Message[]
  output: string | null
  route: { reason?: string | null; attempts?: RouteAttempt[] } | null
  config_hash: string | null
  feedback_items: Feedback[]
}

export interface TraceFilter {
  endpoint?: string
  release?: string
  model?: string
  status?: string
  since?: Instant
  until?: Instant
  has_feedback?: boolean
  has_correction?: boolean
  text?: string
}

export interface Feedback {
  id: string
  inference_id: string
  at: Instant
  score: number | null
  label: string | null
  correction: string | null
  comment: string | null
  source: 'human' | 'application' | 'judge'
  by: string | null
}

export interface NewFeedback {
  inference_id: string
  score: number | null
  label: string | null
  correction: string | null
  comment: string | null
  source: 'human'
}

// ---- datasets ------------------------------------------------------------------------------

export type SplitName = 'train' | 'validation' | 'test'

export interface Dataset {
  id: string
  name: string
  created_at: Instant
  versions: number
  latest: DatasetVersion | null
}

export interface DatasetDetail extends Dataset {
  all_versions: DatasetVersion[]
}

export interface LengthStatistics {
  min: number
  mean: number
  p50: number
  p95: number
  max: number
}

export interface DatasetVersion {
  id: string
  dataset: string
  version: number
  name: string
  created_at: Instant
  rows: Record<SplitName, number>
  dropped: Record<string, number>
  scrubbed: Record<string, number>
  statistics: {
    input_chars: LengthStatistics | null
    answer_chars: LengthStatistics | null
    labels: { label: string; count: number }[]
  }
  source: unknown
  digest: string
  card: string | null
  job_id: string | null
}

export interface DatasetRow {
  index: number
  split: SplitName
  hash: string
  messages: Message[]
  answer: string
  label: string | null
  provenance: {
    kind: 'trace' | 'upload'
    inference_id: string | null
    feedback_id: string | null
    line: number | null
  } | null
}

export interface NewDatasetVersion {
  source: { kind: 'traces'; filter: TraceFilter; limit: number | null } | { kind: 'blob'; digest: string }
  use_corrections: boolean
  only_judged: boolean
  scrub: string[]
  exact_dedup: boolean
  near_dedup: number | null
  split: { train: number; validation: number; test: number; seed: number; stratify: boolean } | null
}

// ---- models --------------------------------------------------------------------------------

export interface Model {
  id: string
  name: string
  version: number
  ref: string
  kind: 'base' | 'adapter'
  base: string | null
  digest: string
  size_bytes: number
  created_at: Instant
  license: string | null
  card: string | null
  lineage: {
    job_id: string | null
    dataset: string | null
    hyperparameters: Record<string, unknown> | null
    base: string | null
  } | null
  files: { path: string; digest: string; size: number }[]
}

// ---- jobs ----------------------------------------------------------------------------------

export type JobKind = 'dataset_build' | 'finetune' | 'finetune_search' | 'evaluation'
export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled'

export interface Job {
  id: string
  kind: JobKind
  title: string
  state: JobState
  progress: { done: number; total: number | null; unit: string | null; message: string | null } | null
  spec: Record<string, unknown> | null
  result: Record<string, unknown> | null
  error: { code: string; message: string; hint: string | null } | null
  attempt: number
  created_at: Instant
  started_at: Instant | null
  ended_at: Instant | null
}

export interface MetricPoint {
  seq: number
  at: Instant
  step: number
  values: Partial<Record<'loss' | 'val_loss' | 'lr' | 'grad_norm' | 'tokens_per_s', number | null>>
}

export interface LogLine {
  seq: number
  at: Instant
  level: string
  message: string
}

export interface NewFinetune {
  name: string
  base: string
  dataset: string
  train_rows: number | null
  seed: number
  shuffle_labels: boolean
  rank: number | null
  alpha: number | null
  learning_rate: number | null
  epochs: number | null
  batch_tokens: number | null
  rehearsal: number | null
  kl_to_base: number | null
  max_minutes: number | null
}

// ---- evaluations ---------------------------------------------------------------------------

export interface Interval {
  value: number
  low: number
  high: number
}

export type EvaluationTarget = { model: string; adapter?: string | null } | { endpoint: string } | { constant: true }

export type EvaluationSuite =
  { dataset: string; split: string; limit?: number | null; seed?: number | null } | { builtin: string; limit?: number | null }

export interface Evaluation {
  id: string
  name: string
  target: EvaluationTarget
  suite: EvaluationSuite
  n: number
  unscored: number
  exact_match: Interval
  macro_f1: Interval | null
  per_class: { label: string; precision: number; recall: number; f1: number; support: number }[]
  by_group: { group: string; value: number; low: number; high: number; n: number }[]
  mean_latency_ms: number | null
  created_at: Instant
  job_id: string | null
}

export interface NewEvaluation {
  name: string
  target: EvaluationTarget
  suite: EvaluationSuite
  few_shot: number
}

export interface Sample {
  index: number
  row_hash: string
  input: string
  expected: string
  output: string | null
  correct: boolean
  group: string | null
  error: string | null
}

export interface Flip {
  index: number
  input: string
  expected: string
  baseline_output: string | null
  candidate_output: string | null
  candidate_correct: boolean
}

export interface Comparison {
  baseline: Evaluation
  candidate: Evaluation
  n_paired: number
  difference: Interval
  mcnemar: { only_baseline: number; only_candidate: number; p_value: number }
  flips: Flip[]
}

export interface NewGate {
  task: { baseline: string; candidate: string; alpha: number; min_gain: number }
  regression: { baseline: string; candidate: string; margin: number } | null
}

export interface Gate {
  id: string
  passed: boolean
  rules: { name: string; passed: boolean; detail: string }[]
  created_at: Instant
}

// ---- releases, endpoints, rollouts ---------------------------------------------------------

export interface Sampling {
  temperature?: number | null
  top_p?: number | null
  top_k?: number | null
  max_tokens?: number | null
  seed?: number | null
  stop?: string[] | null
}

export interface ReleaseBundle {
  model?: string | null
  adapter?: string | null
  upstream?: { provider: string; model: string } | null
  sampling?: Sampling | null
  system_prompt?: string | null
}

export interface Release {
  id: string
  name: string
  digest: string
  bundle: ReleaseBundle
  created_at: Instant
  gate: Gate | string | null
}

export interface NewRelease {
  name: string
  model: string | null
  adapter: string | null
  upstream: { provider: string; model: string } | null
  sampling: Sampling | null
  system_prompt: string | null
  gate: string | null
}

export interface Lineage {
  release: Release
  model: Model | null
  adapter: Model | null
  dataset_version: DatasetVersion | null
  training_job: Job | null
  hyperparameters: Record<string, unknown> | null
  evaluations: Evaluation[]
  gate: Gate | null
  rows: { total: number; corrections: number; sample: { hash: string; inference_id: string | null }[] } | null
}

export interface TrafficShare {
  release_id: string
  release_name: string
  weight: number
}

export interface Endpoint {
  id: string
  name: string
  generation: number
  traffic: TrafficShare[]
  rollout: Rollout | null
  created_at: Instant
  updated_at: Instant
  history: { generation: number; at: Instant; by: string | null; reason: string | null; traffic: TrafficShare[] }[]
}

export type RolloutState = 'running' | 'promoted' | 'rolled_back' | 'cancelled'

export interface Observed {
  requests: number
  errors: number
  score_mean: number | null
  scores: number
}

export interface Decision {
  at: Instant
  action: 'start' | 'advance' | 'hold' | 'promote' | 'roll_back'
  reason: string
  stage: number
  observed: { baseline: Observed; candidate: Observed } | null
}

export interface Rollout {
  id: string
  endpoint: string
  baseline: string
  candidate: string
  baseline_name: string
  candidate_name: string
  state: RolloutState
  stage: number
  stages: number[]
  weight: number
  started_at: Instant
  ended_at: Instant | null
  reason: string | null
  decisions: Decision[]
}

export interface NewRollout {
  endpoint: string
  candidate: string
  stages: number[]
  min_requests_per_stage: number
  max_error_rate_increase: number
  max_feedback_drop: number
  min_feedback: number
  gate: string | null
  override_gate?: string
}

// ---- keys and audit ------------------------------------------------------------------------

export type Scope = 'inference' | 'read' | 'write' | 'admin'

export interface Key {
  id: string
  name: string
  prefix: string
  scopes: Scope[]
  created_at: Instant
  revoked_at: Instant | null
  last_used_at: Instant | null
}

export interface CreatedKey extends Key {
  secret: string
}

export interface AuditEntry {
  id: string
  at: Instant
  actor: string
  action: string
  object_kind: string
  object_id: string
  detail: unknown
  request_id: string | null
}
