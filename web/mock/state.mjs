// The mock's world: a telco desk with a few hours of traffic, one finished turn and room for another.
// Everything is drawn from one seed, so two runs show the same pages.

export function makeRandom(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const random = makeRandom(7)
const pick = (list) => list[Math.floor(random() * list.length)]
const between = (low, high) => low + random() * (high - low)
const whole = (low, high) => Math.floor(between(low, high + 1))

let counter = 0
export function makeId(prefix) {
  counter += 1
  const tail = Math.floor(random() * 2 ** 48)
    .toString(16)
    .padStart(12, '0')
  return `${prefix}_019${(0x7c000 + counter).toString(16)}-${tail.slice(0, 4)}-7${tail.slice(4, 7)}-a${tail.slice(7, 10)}-${tail}`
}
const digest = () => 'sha256:' + Array.from({ length: 64 }, () => Math.floor(random() * 16).toString(16)).join('')
export const iso = (ms) => new Date(ms).toISOString()
const MINUTE = 60_000
const HOUR = 60 * MINUTE

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August']
const QUESTIONS = [
  (b) => `Which bill is for ${b.period}?`,
  (b) => `I was charged $${b.amount}. Which bill is it?`,
  (b) => `Find the bill of ${b.date}.`,
]
const SYSTEM =
  'You are a telco billing assistant. Find the bill that the customer asks about. Answer with JSON only: {"bill_found":"true","bill_id":…,"bill_date":…} or {"bill_found":"false"}.'

function telcoItem() {
  const headers = Array.from({ length: whole(3, 6) }, () => {
    const month = whole(0, 7)
    const day = String(whole(1, 28)).padStart(2, '0')
    return {
      id: `B${whole(100, 999)}`,
      date: `2026-0${month + 1}-${day}`,
      period: `${MONTHS[month]} 2026`,
      amount: `${whole(18, 96)}.${whole(10, 99)}`,
    }
  })
  const found = random() > 0.38
  const asked = found ? pick(headers) : { id: 'B000', date: '2025-11-03', period: 'November 2025', amount: '12.08' }
  const input = headers.map((h) => `id: ${h.id} | bill date: ${h.date} | billing period: ${h.period} | amount due: $${h.amount}`).join('\n')
  const question = pick(QUESTIONS)(asked)
  const answer = found ? `{"bill_found":"true","bill_id":"${asked.id}","bill_date":"${asked.date}"}` : '{"bill_found":"false"}'
  const other = headers.find((h) => h.id !== asked.id) ?? headers[0]
  const wrong =
    found && random() > 0.5
      ? `{"bill_found":"true","bill_id":"${other.id}","bill_date":"${asked.date}"}`
      : found
        ? '{"bill_found":"false"}'
        : `{"bill_found":"true","bill_id":"${other.id}","bill_date":"${other.date}"}`
  return { input, question, answer, wrong, label: found ? 'found' : 'not_found' }
}

const interval = (value, n) => {
  const z = 1.96
  const centre = (value + (z * z) / (2 * n)) / (1 + (z * z) / n)
  const half = (z * Math.sqrt((value * (1 - value)) / n + (z * z) / (4 * n * n))) / (1 + (z * z) / n)
  return { value, low: centre - half, high: centre + half }
}

export function makeState(now) {
  const startedAt = now - 3 * HOUR
  const base = {
    id: makeId('mdl'),
    name: 'pelton/pelton-tiny',
    version: 1,
    ref: 'pelton/pelton-tiny@1',
    kind: 'base',
    base: null,
    digest: digest(),
    size_bytes: 9_412_608,
    created_at: iso(startedAt),
    license: 'Apache-2.0',
    card: '# pelton-tiny\n\nA 2.3 M parameter Llama-style model trained by the project on its own generated corpus.\n\n- copies, looks up, selects records, fills JSON\n- does not know facts about the world\n',
    lineage: null,
    files: [
      { path: 'config.json', digest: digest(), size: 612 },
      { path: 'model.safetensors', digest: digest(), size: 9_318_400 },
      { path: 'tokenizer.json', digest: digest(), size: 93_596 },
    ],
  }
  const datasets = [
    { id: makeId('ds'), name: 'telco', created_at: iso(now - 2 * HOUR), rows: [], all_versions: [] },
    { id: makeId('ds'), name: 'banking77', created_at: iso(now - 100 * MINUTE), rows: [], all_versions: [] },
  ]
  const jobs = []
  const job = (kind, title, spec, at, seconds, result, extra = {}) => {
    const made = {
      id: makeId('job'),
      kind,
      title,
      state: 'succeeded',
      progress: { done: 100, total: 100, unit: kind === 'finetune' ? 'steps' : 'rows', message: 'done' },
      spec,
      result,
      error: null,
      attempt: 1,
      created_at: iso(at),
      started_at: iso(at + 400),
      ended_at: iso(at + 400 + seconds * 1000),
      _logs: [],
      _metrics: [],
      ...extra,
    }
    jobs.unshift(made)
    return made
  }

  const build = job(
    'dataset_build',
    'Build telco@1',
    { dataset: 'telco', source: { kind: 'traces', filter: { endpoint: 'telco-desk' } } },
    now - 118 * MINUTE,
    4,
    { dataset: 'telco@1' },
  )
  datasets[0].all_versions.push(
    makeVersion('telco', 1, now - 118 * MINUTE, build.id, { train: 812, validation: 101, test: 520 }, [
      { label: 'found', count: 884 },
      { label: 'not_found', count: 549 },
    ]),
  )
  const upload = job('dataset_build', 'Build banking77@1', { dataset: 'banking77', source: { kind: 'blob' } }, now - 100 * MINUTE, 7, {
    dataset: 'banking77@1',
  })
  datasets[1].all_versions.push(
    makeVersion(
      'banking77',
      1,
      now - 100 * MINUTE,
      upload.id,
      { train: 9002, validation: 1001, test: 3080 },
      BANKING.map((label, i) => ({ label, count: 230 - i * 9 })),
      { kind: 'blob', digest: digest() },
    ),
  )

  const tune = job(
    'finetune',
    'Fine-tune telco-desk@1 on telco@1',
    {
      name: 'telco-desk',
      base: base.ref,
      dataset: 'telco@1',
      train_rows: 500,
      seed: 1,
      shuffle_labels: false,
      rank: 8,
      alpha: 16,
      learning_rate: 0.003,
      epochs: 4,
      batch_tokens: 4096,
      rehearsal: 0.2,
      kl_to_base: 0.05,
      max_minutes: null,
    },
    now - 95 * MINUTE,
    84,
    { model: 'telco-desk@1', best_val_loss: 0.031, steps: 320, train_seconds: 84.2, tokens: 1_310_720 },
  )
  fillTraining(tune, 320, now - 95 * MINUTE, 1)
  const failed = job(
    'finetune',
    'Fine-tune telco-desk on telco@1',
    { name: 'telco-desk', base: base.ref, dataset: 'telco@1', train_rows: 50, seed: 2, rank: 64, alpha: 16, learning_rate: 0.4 },
    now - 70 * MINUTE,
    9,
    null,
    {
      state: 'failed',
      error: {
        code: 'diverged',
        message: 'the loss became infinite at step 14',
        hint: 'lower learning_rate (0.4) or leave it empty for the default',
      },
    },
  )
  fillTraining(failed, 14, now - 70 * MINUTE, 3, true)
  const adapter = {
    id: makeId('mdl'),
    name: 'telco-desk',
    version: 1,
    ref: 'telco-desk@1',
    kind: 'adapter',
    base: base.ref,
    digest: digest(),
    size_bytes: 331_776,
    created_at: tune.ended_at,
    license: 'Apache-2.0',
    card: '# telco-desk@1\n\nLoRA adapter (rank 8) for pelton-tiny, trained on telco@1.\n',
    lineage: {
      job_id: tune.id,
      dataset: 'telco@1',
      hyperparameters: { rank: 8, alpha: 16, learning_rate: 0.003, epochs: 4, rehearsal: 0.2, kl_to_base: 0.05, seed: 1 },
      base: base.ref,
    },
    files: [
      { path: 'adapter_config.json', digest: digest(), size: 744 },
      { path: 'adapter_model.safetensors', digest: digest(), size: 331_032 },
    ],
  }

  const evaluations = []
  const samples = new Map()
  const evaluation = (name, target, suite, accuracy, n, at, groups) => {
    const run = job('evaluation', name, { name, target, suite }, at, 21, {})
    const made = makeEvaluation(name, target, suite, accuracy, n, at, run.id, groups)
    run.result = { evaluation_id: made.id }
    samples.set(made.id, makeSamples(made, accuracy))
    evaluations.unshift(made)
    return made
  }
  const telcoSuite = { dataset: 'telco@1', split: 'test', limit: null, seed: null }
  const taskBase = evaluation('telco base', { model: base.ref, adapter: null }, telcoSuite, 0.612, 520, now - 92 * MINUTE)
  const taskTuned = evaluation(
    'telco-desk@1 on telco',
    { model: base.ref, adapter: adapter.ref },
    telcoSuite,
    0.952,
    520,
    now - 90 * MINUTE,
  )
  evaluation('constant answer', { constant: true }, telcoSuite, 0.383, 520, now - 89 * MINUTE)
  const regression = { builtin: 'regression', limit: null }
  const regBase = evaluation('regression base', { model: base.ref, adapter: null }, regression, 0.908, 400, now - 88 * MINUTE, REGRESSION)
  const regTuned = evaluation(
    'telco-desk@1 on regression',
    { model: base.ref, adapter: adapter.ref },
    regression,
    0.9,
    400,
    now - 86 * MINUTE,
    REGRESSION,
  )

  const gate = {
    id: makeId('gate'),
    passed: true,
    created_at: iso(now - 84 * MINUTE),
    rules: [
      { name: 'better on the task', passed: true, detail: 'difference +0.340 [0.296, 0.383], McNemar p = 2.1e-41 < 0.05 over 520 pairs' },
      {
        name: 'not worse on regression',
        passed: true,
        detail: 'difference −0.008 [−0.021, 0.005], above the margin of −0.030 over 400 pairs',
      },
    ],
    task: { baseline: taskBase.id, candidate: taskTuned.id },
    regression: { baseline: regBase.id, candidate: regTuned.id },
  }
  const release = (name, bundle, at, passed) => ({ id: makeId('rel'), name, digest: digest(), bundle, created_at: iso(at), gate: passed })
  const r1 = release(
    'telco-desk-base',
    { model: base.ref, adapter: null, upstream: null, sampling: { temperature: 0, max_tokens: 64 }, system_prompt: null },
    now - 3 * HOUR,
    null,
  )
  const r2 = release(
    'telco-desk-2026-03',
    { model: base.ref, adapter: adapter.ref, upstream: null, sampling: { temperature: 0, max_tokens: 64 }, system_prompt: null },
    now - 83 * MINUTE,
    gate,
  )
  const r3 = release(
    'assistant-upstream',
    {
      model: null,
      adapter: null,
      upstream: { provider: 'lab', model: 'llama-3.1-8b-instruct' },
      sampling: null,
      system_prompt: 'Answer briefly.',
    },
    now - 2.6 * HOUR,
    null,
  )

  const share = (r, weight) => ({ release_id: r.id, release_name: r.name, weight })
  const rollout = {
    id: makeId('ro'),
    endpoint: 'telco-desk',
    baseline: r1.id,
    candidate: r2.id,
    baseline_name: r1.name,
    candidate_name: r2.name,
    state: 'running',
    stage: 1,
    stages: [10, 50, 100],
    weight: 50,
    started_at: iso(now - 12 * MINUTE),
    ended_at: null,
    reason: null,
    decisions: [
      decision(now - 12 * MINUTE, 'start', 'gate passed; 10 % of traffic to telco-desk-2026-03', 0, null),
      decision(now - 9 * MINUTE, 'hold', '31 of 50 requests seen at this stage', 0, [
        [288, 2, 0.61, 96],
        [31, 0, 0.94, 11],
      ]),
      decision(now - 7 * MINUTE, 'advance', 'error rate 0.0 % against 0.7 %; mean score 0.94 against 0.61', 1, [
        [471, 3, 0.61, 152],
        [54, 0, 0.94, 21],
      ]),
      decision(now - 2 * MINUTE, 'hold', '18 of 20 scores seen at this stage', 1, [
        [602, 4, 0.6, 190],
        [188, 0, 0.95, 58],
      ]),
    ],
    _ticks: 0,
  }
  const endpoints = [
    {
      id: makeId('ep'),
      name: 'telco-desk',
      generation: 3,
      traffic: [share(r1, 50), share(r2, 50)],
      rollout,
      created_at: iso(now - 3 * HOUR),
      updated_at: iso(now - 7 * MINUTE),
      history: [
        {
          generation: 3,
          at: iso(now - 7 * MINUTE),
          by: 'rollout',
          reason: 'rollout advanced to 50 %',
          traffic: [share(r1, 50), share(r2, 50)],
        },
        {
          generation: 2,
          at: iso(now - 12 * MINUTE),
          by: 'rollout',
          reason: 'rollout started at 10 %',
          traffic: [share(r1, 90), share(r2, 10)],
        },
        { generation: 1, at: iso(now - 3 * HOUR), by: 'local', reason: 'created', traffic: [share(r1, 100)] },
      ],
    },
    {
      id: makeId('ep'),
      name: 'assistant',
      generation: 1,
      traffic: [share(r3, 100)],
      rollout: null,
      created_at: iso(now - 2.6 * HOUR),
      updated_at: iso(now - 2.6 * HOUR),
      history: [{ generation: 1, at: iso(now - 2.6 * HOUR), by: 'local', reason: 'created', traffic: [share(r3, 100)] }],
    },
  ]

  const traces = []
  for (let i = 0; i < 640; i++) traces.push(makeTrace(now - i * between(9_000, 22_000) - 800, endpoints, [r1, r2, r3], i))
  traces.sort((a, b) => b.started_at.localeCompare(a.started_at))

  return {
    server: { version: '0.1.0', auth_required: false, project: { id: makeId('prj'), name: 'default' }, started_at: iso(startedAt) },
    startedAt,
    datasets,
    jobs,
    models: [base, adapter],
    evaluations,
    samples,
    gates: [gate],
    releases: [r2, r3, r1],
    endpoints,
    rollouts: [rollout],
    traces,
    keys: [
      {
        id: makeId('key'),
        name: 'desk application',
        prefix: 'pk_7Hq2',
        scopes: ['inference', 'write'],
        created_at: iso(now - 3 * HOUR),
        revoked_at: null,
        last_used_at: iso(now - 5_000),
      },
      {
        id: makeId('key'),
        name: 'notebook',
        prefix: 'pk_Zm0c',
        scopes: ['read'],
        created_at: iso(now - 2 * HOUR),
        revoked_at: iso(now - HOUR),
        last_used_at: iso(now - 70 * MINUTE),
      },
    ],
    audit: [
      audit(now - 7 * MINUTE, 'rollout', 'rollout.advance', 'rollout', rollout.id, { stage: 1, weight: 50 }),
      audit(now - 12 * MINUTE, 'local', 'rollout.start', 'rollout', rollout.id, { stages: [10, 50, 100] }),
      audit(now - 83 * MINUTE, 'local', 'release.create', 'release', r2.id, { name: r2.name }),
      audit(now - 84 * MINUTE, 'local', 'gate.create', 'gate', gate.id, { passed: true }),
      audit(now - 95 * MINUTE, 'local', 'job.create', 'job', tune.id, { kind: 'finetune' }),
      audit(now - 3 * HOUR, 'local', 'endpoint.create', 'endpoint', endpoints[0].id, { name: 'telco-desk' }),
    ],
  }
}

const BANKING = [
  'card_arrival',
  'card_linking',
  'exchange_rate',
  'card_payment_wrong_exchange_rate',
  'extra_charge_on_statement',
  'pending_cash_withdrawal',
  'lost_or_stolen_card',
  'transfer_timing',
  'top_up_failed',
  'verify_my_identity',
  'change_pin',
  'atm_support',
]
const REGRESSION = ['copy', 'lookup', 'select', 'json fill', 'compare', 'intent']

export function audit(at, actor, action, kind, id, detail) {
  return { id: makeId('aud'), at: iso(at), actor, action, object_kind: kind, object_id: id, detail, request_id: makeId('req') }
}

function decision(at, action, reason, stage, pair) {
  const side = ([requests, errors, score_mean, scores]) => ({ requests, errors, score_mean, scores })
  return { at: iso(at), action, reason, stage, observed: pair ? { baseline: side(pair[0]), candidate: side(pair[1]) } : null }
}

export function makeVersion(dataset, version, at, jobId, rows, labels, source) {
  return {
    id: makeId('dsv'),
    dataset,
    version,
    name: `${dataset}@${version}`,
    created_at: iso(at),
    rows,
    dropped: { exact_duplicate: 41, near_duplicate: 17, unjudged: 63, invalid: 2 },
    scrubbed: { email: 12, phone: 31, card: 3 },
    statistics: {
      input_chars: { min: 182, mean: 318.4, p50: 309, p95: 441, max: 486 },
      answer_chars: { min: 22, mean: 47.1, p50: 61, p95: 61, max: 61 },
      labels,
    },
    source: source ?? { kind: 'traces', filter: { endpoint: 'telco-desk' }, limit: null },
    digest: digest(),
    card: `# ${dataset}@${version}\n\nBuilt from logged traffic of \`telco-desk\`, with corrections taken over answers.\n\n- e-mail addresses, phone numbers and payment-card numbers are replaced\n- exact and near duplicates are removed before the split\n- split 80/10/10 with seed 7, stratified by label\n`,
    job_id: jobId,
  }
}

export function makeRows(version, split, offset, limit, traces) {
  const total = version.rows[split]
  const items = []
  for (let index = offset; index < Math.min(offset + limit, total); index++) {
    const trace = traces[index % traces.length]
    items.push({
      index,
      split,
      hash: digest(),
      messages: trace.messages,
      answer: trace._truth,
      label: trace._label,
      provenance: { kind: 'trace', inference_id: trace.id, feedback_id: trace.feedback_items[0]?.id ?? null, line: null },
    })
  }
  return items
}

export function makeEvaluation(name, target, suite, accuracy, n, at, jobId, groups) {
  const isTelco = 'dataset' in suite
  const classes = isTelco ? ['found', 'not_found'] : []
  return {
    id: makeId('ev'),
    name,
    target,
    suite,
    n,
    unscored: 0,
    exact_match: interval(accuracy, n),
    macro_f1: isTelco ? interval(Math.min(0.99, accuracy + 0.012), n) : null,
    per_class: classes.map((label, i) => ({
      label,
      precision: Math.min(1, accuracy + 0.03 - i * 0.05),
      recall: Math.max(0, accuracy - 0.02 + i * 0.04),
      f1: accuracy + 0.004,
      support: i === 0 ? Math.round(n * 0.61) : n - Math.round(n * 0.61),
    })),
    by_group: (groups ?? ['by period', 'by amount', 'by date']).map((group, i) => {
      const size = Math.floor(n / (groups?.length ?? 3))
      return { group, n: size, ...interval(Math.max(0.02, Math.min(0.995, accuracy + ((i % 3) - 1) * 0.03)), size) }
    }),
    mean_latency_ms: 61.3,
    created_at: iso(at),
    job_id: jobId,
  }
}

export function makeSamples(evaluation, accuracy) {
  const draw = makeRandom(11)
  return Array.from({ length: evaluation.n }, (_, index) => {
    const item = telcoItem()
    const correct = draw() < accuracy
    return {
      index,
      row_hash: digest(),
      input: `${item.input}\n${item.question}`,
      expected: item.answer,
      output: correct ? item.answer : item.wrong,
      correct,
      group: evaluation.by_group[index % evaluation.by_group.length].group,
      error: null,
    }
  })
}

/** The values that a fine-tune reports at a step. */
export function trainingPoint(step, total, seed, diverges = false) {
  const draw = makeRandom(seed * 7919 + step)
  const through = step / total
  const loss = diverges ? 1.1 * Math.exp(step / 5) : 0.03 + 1.35 * Math.exp(-step / (total * 0.13)) + draw() * 0.05 * (1 - through * 0.6)
  const warm = Math.min(1, step / (total * 0.06))
  const values = {
    loss,
    lr: 0.003 * warm * (through > 0.06 ? 0.5 * (1 + Math.cos(Math.PI * through)) : 1),
    grad_norm: 0.2 + 1.8 * Math.exp(-through * 6) + draw() * 0.25,
    tokens_per_s: 15_400 + draw() * 1_300,
  }
  if (step % Math.max(1, Math.round(total / 16)) === 0) values.val_loss = 0.031 + 1.22 * Math.exp(-step / (total * 0.14)) + draw() * 0.015
  return values
}

export function fillTraining(job, total, at, seed, diverges) {
  for (let step = 1; step <= total; step++)
    job._metrics.push({ seq: step, at: iso(at + step * 260), step, values: trainingPoint(step, total, seed, diverges) })
  job._logs.push(
    { seq: 1, at: iso(at), level: 'info', message: 'base pelton/pelton-tiny@1 loaded in 41 ms, 2,326,528 parameters' },
    { seq: 2, at: iso(at + 300), level: 'info', message: '500 training rows packed into 32 batches of 4,096 tokens; 20 % rehearsal rows' },
    { seq: 3, at: iso(at + 900), level: 'info', message: 'LoRA rank 8, alpha 16 on q, k, v, o, gate, up, down: 82,944 trained parameters' },
  )
  if (diverges) job._logs.push({ seq: 4, at: iso(at + 4000), level: 'error', message: 'loss is not finite at step 14' })
}

export function makeTrace(at, endpoints, [base, tuned, upstream], i) {
  const item = telcoItem()
  const onUpstream = random() < 0.12
  const release = onUpstream ? upstream : at > Date.now() - 7 * MINUTE ? pick([base, tuned]) : base
  const endpoint = onUpstream ? 'assistant' : 'telco-desk'
  const roll = random()
  const status = roll < 0.02 ? 'error' : roll < 0.028 ? 'cancelled' : roll < 0.034 ? 'partial' : 'ok'
  const right = random() < (release === tuned ? 0.95 : 0.61)
  const output = status === 'error' ? null : right ? item.answer : item.wrong
  const ttft = between(12, 40)
  const latency = ttft + between(18, 90)
  const id = makeId('inf')
  const messages = [
    { role: 'system', content: SYSTEM },
    { role: 'user', content: `${item.input}\n\n${item.question}` },
  ]
  const feedback = []
  if (status === 'ok' && random() < 0.35) {
    feedback.push({
      id: makeId('fb'),
      inference_id: id,
      at: iso(at + 4000),
      score: right ? 1 : 0,
      label: null,
      correction: right ? null : item.answer,
      comment: null,
      source: 'application',
      by: 'desk application',
    })
  }
  const promptTokens = whole(148, 246)
  const completionTokens = status === 'error' ? 0 : whole(9, 31)
  const model = onUpstream ? 'llama-3.1-8b-instruct' : release === tuned ? 'telco-desk@1' : 'pelton/pelton-tiny@1'
  return {
    id,
    trace_id: makeId('tr'),
    started_at: iso(at),
    endpoint,
    release_id: release.id,
    release_name: release.name,
    model,
    status,
    error_code: status === 'error' ? 'upstream_timeout' : null,
    streamed: i % 3 === 0,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    cost_nanousd: onUpstream ? promptTokens * 180 + completionTokens * 180 : null,
    latency_ms: latency,
    ttft_ms: i % 3 === 0 ? ttft : null,
    preview_input: item.question,
    preview_output: output ?? '',
    tags: { session: `s-${whole(1000, 1400)}`, channel: pick(['chat', 'phone', 'web']) },
    request: { model: endpoint, messages, max_tokens: 64, temperature: 0, stream: i % 3 === 0, user: 'cust-' + whole(100, 999) },
    response:
      status === 'error'
        ? null
        : {
            id: 'chatcmpl-' + id.slice(-8),
            object: 'chat.completion',
            model,
            choices: [{ index: 0, message: { role: 'assistant', content: output }, finish_reason: 'stop' }],
            usage: { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: promptTokens + completionTokens },
          },
    messages,
    output,
    route: {
      reason: onUpstream
        ? 'endpoint "assistant" sends 100 % to assistant-upstream'
        : `sticky on user; endpoint "telco-desk" gave ${release.name}`,
      attempts:
        status === 'error'
          ? [
              { target: 'lab/llama-3.1-8b-instruct', status: 503, error: 'overloaded, Retry-After 1', latency_ms: 18.2 },
              { target: 'lab/llama-3.1-8b-instruct', status: null, error: 'no first token within 10 s', latency_ms: 10_000 },
            ]
          : [{ target: onUpstream ? 'lab/llama-3.1-8b-instruct' : 'engine', status: 200, error: null, latency_ms: latency }],
    },
    config_hash: digest().slice(7, 23),
    feedback_items: feedback,
    _truth: item.answer,
    _label: item.label,
  }
}

export function feedbackSummary(items) {
  const scored = items.filter((f) => f.score !== null)
  return {
    count: items.length,
    score: scored.length ? scored.reduce((sum, f) => sum + f.score, 0) / scored.length : null,
    has_correction: items.some((f) => f.correction !== null),
  }
}
