// A stand-in for the server, for working on the console and for its tests; never shipped.
// node mock/server.mjs --port 7077 [--auth] [--empty] [--fast]
// It serves web/dist with the same headers as the binary, and a small world of its own below /api/v1.

import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  audit,
  feedbackSummary,
  iso,
  makeEvaluation,
  makeId,
  makeRows,
  makeSamples,
  makeState,
  makeTrace,
  makeVersion,
  trainingPoint,
} from './state.mjs'

const flag = (name) => process.argv.includes(`--${name}`)
const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`)
  return at > 0 ? process.argv[at + 1] : fallback
}
const DIST = fileURLToPath(new URL('../dist', import.meta.url))
const SPEED = flag('fast') ? 6 : 1
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.png': 'image/png',
}
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const state = makeState(Date.now())
state.server.auth_required = flag('auth')
const SECRET = 'pk_mock'
if (flag('empty')) {
  for (const noun of ['traces', 'jobs', 'datasets', 'evaluations', 'releases', 'endpoints', 'rollouts', 'keys', 'audit']) state[noun] = []
  state.models = state.models.filter((m) => m.kind === 'base')
}

class Problem extends Error {
  constructor(status, code, title, message, hint) {
    super(message)
    Object.assign(this, { status, code, title, hint })
  }
}
const missing = (what) => new Problem(404, 'not_found', 'Not found', `there is no ${what}`, 'the list shows what exists')
const shown = (object) => Object.fromEntries(Object.entries(object).filter(([name]) => !name.startsWith('_')))
const find = (list, id, what) =>
  list.find((x) => x.id === id || x.name === id || x.ref === id) ??
  (() => {
    throw missing(`${what} ${id}`)
  })()
const record = (action, kind, id, detail = {}) => state.audit.unshift(audit(Date.now(), 'local', action, kind, id, detail))

function page(list, query, fallback = 50) {
  const limit = Math.min(Number(query.get('limit') ?? fallback), 500)
  const from = query.get('cursor') ? Number(Buffer.from(query.get('cursor'), 'base64url').toString()) : 0
  const items = list.slice(from, from + limit).map(shown)
  const end = from + items.length
  return { items, next_cursor: end < list.length ? Buffer.from(String(end)).toString('base64url') : null }
}

const summary = (t) => {
  const detail = ['request', 'response', 'messages', 'output', 'route', 'config_hash', 'feedback_items']
  const rest = Object.fromEntries(Object.entries(shown(t)).filter(([name]) => !detail.includes(name)))
  return { ...rest, feedback: feedbackSummary(t.feedback_items) }
}

function matching(query) {
  const bool = (name) => (query.get(name) === null ? null : query.get(name) === 'true')
  return state.traces.filter((t) => {
    const f = feedbackSummary(t.feedback_items)
    const text = query.get('text')?.toLowerCase()
    return (
      (!query.get('endpoint') || t.endpoint === query.get('endpoint')) &&
      (!query.get('release') || t.release_id === query.get('release') || t.release_name === query.get('release')) &&
      (!query.get('model') || t.model === query.get('model')) &&
      (!query.get('status') || t.status === query.get('status')) &&
      (bool('has_feedback') === null || f.count > 0 === bool('has_feedback')) &&
      (bool('has_correction') === null || f.has_correction === bool('has_correction')) &&
      (!query.get('since') || t.started_at >= query.get('since')) &&
      (!query.get('until') || t.started_at < query.get('until')) &&
      (!text || JSON.stringify(t.messages).toLowerCase().includes(text) || (t.output ?? '').toLowerCase().includes(text))
    )
  })
}

function startJob(kind, title, spec, seconds, onDone) {
  const made = {
    id: makeId('job'),
    kind,
    title,
    state: 'queued',
    progress: { done: 0, total: null, unit: null, message: 'waiting for a slot' },
    spec,
    result: null,
    error: null,
    attempt: 1,
    created_at: iso(Date.now()),
    started_at: null,
    ended_at: null,
    _logs: [],
    _metrics: [],
    _total: kind === 'finetune' ? 240 : 500,
    _seconds: seconds / SPEED,
    _done: onDone,
    _seed: state.jobs.length + 3,
  }
  state.jobs.unshift(made)
  record('job.create', 'job', made.id, { kind })
  return made
}

function advanceJobs(now) {
  for (const job of state.jobs) {
    if (job.state === 'queued' && now - Date.parse(job.created_at) > 700 / SPEED) {
      job.state = 'running'
      job.started_at = iso(now)
      job._logs.push({ seq: 1, at: iso(now), level: 'info', message: 'started in a child process, attempt 1' })
    } else if (job.state === 'running' && job._total) {
      const through = Math.min(1, (now - Date.parse(job.started_at)) / 1000 / job._seconds)
      const done = Math.floor(through * job._total)
      if (job.kind === 'finetune') {
        for (let step = job._metrics.length + 1; step <= done; step++)
          job._metrics.push({ seq: step, at: iso(now), step, values: trainingPoint(step, job._total, job._seed) })
        if (done % 40 < 6)
          job._logs.push({ seq: job._logs.length + 1, at: iso(now), level: 'info', message: `step ${done}: checkpoint written` })
      }
      job.progress = {
        done,
        total: job._total,
        unit: job.kind === 'finetune' ? 'steps' : 'rows',
        message: job.kind === 'finetune' ? 'training' : 'working',
      }
      if (through >= 1) {
        job.result = job._done(job)
        job.state = 'succeeded'
        job.ended_at = iso(now)
        job._logs.push({ seq: job._logs.length + 1, at: iso(now), level: 'info', message: 'finished' })
      }
    }
  }
}

function advanceTraffic(now) {
  if (flag('empty')) return
  const live = state.endpoints[0]
  if (Math.random() < 0.5) {
    const [tuned, upstream, base] = [
      state.releases.find((r) => r.name === 'telco-desk-2026-03'),
      state.releases.find((r) => r.bundle.upstream),
      state.releases.find((r) => r.name === 'telco-desk-base'),
    ]
    state.traces.unshift(makeTrace(now - 200, state.endpoints, [base, tuned, upstream], state.traces.length))
  }
  const rollout = live?.rollout
  if (rollout?.state === 'running' && rollout._auto && ++rollout._ticks % Math.round(12 / SPEED) === 0) {
    if (rollout.stage + 1 < rollout.stages.length) {
      rollout.stage += 1
      moveTraffic(live, rollout, rollout.stages[rollout.stage], `rollout advanced to ${rollout.stages[rollout.stage]} %`)
      decide(rollout, 'advance', 'error rate 0.0 % against 0.6 %; mean score 0.95 against 0.61')
    } else decide(rollout, 'hold', 'waiting for 20 scores at this stage')
  }
}

function decide(rollout, action, reason) {
  const last = rollout.decisions.at(-1)?.observed
  const grow = (side, by, score) => ({
    requests: (side?.requests ?? 0) + by,
    errors: side?.errors ?? 0,
    score_mean: score,
    scores: (side?.scores ?? 0) + Math.floor(by / 3),
  })
  rollout.decisions.push({
    at: iso(Date.now()),
    action,
    reason,
    stage: rollout.stage,
    observed: { baseline: grow(last?.baseline, 60, 0.61), candidate: grow(last?.candidate, 55, 0.95) },
  })
}

function moveTraffic(endpoint, rollout, weight, reason) {
  rollout.weight = weight
  const side = (id, name, share) => ({ release_id: id, release_name: name, weight: share })
  setTraffic(
    endpoint,
    [side(rollout.baseline, rollout.baseline_name, 100 - weight), side(rollout.candidate, rollout.candidate_name, weight)].filter(
      (s) => s.weight > 0,
    ),
    reason,
  )
}

function setTraffic(endpoint, traffic, reason) {
  endpoint.generation += 1
  endpoint.traffic = traffic
  endpoint.updated_at = iso(Date.now())
  endpoint.history.unshift({ generation: endpoint.generation, at: endpoint.updated_at, by: 'local', reason, traffic })
}

function end(rollout, how, reason) {
  const endpoint = find(state.endpoints, rollout.endpoint, 'endpoint')
  if (rollout.state !== 'running')
    throw new Problem(409, 'rollout_ended', 'Rollout has ended', `this rollout is ${rollout.state}`, 'start a new rollout')
  if (how === 'promoted') {
    rollout.stage = rollout.stages.length - 1
    decide(rollout, 'promote', reason)
    moveTraffic(endpoint, rollout, 100, 'promoted')
  } else {
    decide(rollout, 'roll_back', reason)
    moveTraffic(endpoint, rollout, 0, 'rolled back')
  }
  Object.assign(rollout, { state: how, ended_at: iso(Date.now()), reason })
  endpoint.rollout = null
  record(`rollout.${how === 'promoted' ? 'promote' : 'rollback'}`, 'rollout', rollout.id)
  return rollout
}

function overview() {
  const now = Date.now()
  const day = state.traces
  const sorted = day.map((t) => t.latency_ms).sort((a, b) => a - b)
  const at = (q) => sorted[Math.floor(sorted.length * q)] ?? null
  const feedback = day.reduce((sum, t) => sum + t.feedback_items.length, 0)
  const minute = Math.floor(now / 60_000) * 60_000
  const series = Array.from({ length: 60 }, (_, i) => {
    const from = iso(minute - (59 - i) * 60_000)
    const to = iso(minute - (58 - i) * 60_000)
    const within = day.filter((t) => t.started_at >= from && t.started_at < to)
    return { at: from, count: within.length, errors: within.filter((t) => t.status === 'error').length }
  })
  const versions = state.datasets.flatMap((d) => d.all_versions)
  return {
    serve: {
      requests_24h: day.length,
      errors_24h: day.filter((t) => t.status === 'error').length,
      latency_p50_ms: at(0.5),
      latency_p95_ms: at(0.95),
      tokens_24h: day.reduce((s, t) => s + t.prompt_tokens + t.completion_tokens, 0),
    },
    observe: { traces: day.length, feedback, corrections: day.filter((t) => feedbackSummary(t.feedback_items).has_correction).length },
    curate: {
      datasets: state.datasets.length,
      versions: versions.length,
      rows: versions.reduce((s, v) => s + v.rows.train + v.rows.validation + v.rows.test, 0),
    },
    tune: {
      running: state.jobs.filter((j) => j.kind === 'finetune' && j.state === 'running').length,
      succeeded: state.jobs.filter((j) => j.kind === 'finetune' && j.state === 'succeeded').length,
      latest: state.jobs.filter((j) => j.kind === 'finetune').map(shown)[0] ?? null,
    },
    evaluate: { evaluations: state.evaluations.length, latest: state.evaluations[0] ?? null },
    release: {
      endpoints: state.endpoints.length,
      releases: state.releases.length,
      active_rollouts: state.rollouts.filter((r) => r.state === 'running').map(shown),
    },
    engine: {
      state: 'ready',
      models: ['pelton/pelton-tiny@1'],
      adapters: state.models.filter((m) => m.kind === 'adapter').map((m) => m.ref),
    },
    requests_series: series,
  }
}

function compare(baseline, candidate) {
  if (JSON.stringify(baseline.suite) !== JSON.stringify(candidate.suite))
    throw new Problem(
      409,
      'not_comparable',
      'Not comparable',
      'the two evaluations ran on different suites',
      'choose two evaluations of the same suite',
    )
  const [a, b] = [state.samples.get(baseline.id), state.samples.get(candidate.id)]
  const n = Math.min(a.length, b.length)
  let onlyA = 0
  let onlyB = 0
  const flips = []
  for (let i = 0; i < n; i++) {
    if (a[i].correct === b[i].correct) continue
    if (a[i].correct) onlyA += 1
    else onlyB += 1
    if (flips.length < 50)
      flips.push({
        index: i,
        input: b[i].input,
        expected: b[i].expected,
        baseline_output: b[i].correct ? '{"bill_found":"false"}' : b[i].expected,
        candidate_output: b[i].output,
        candidate_correct: b[i].correct,
      })
  }
  const value = candidate.exact_match.value - baseline.exact_match.value
  const discordant = onlyA + onlyB
  const chi = discordant ? (Math.abs(onlyA - onlyB) - 1) ** 2 / discordant : 0
  return {
    baseline,
    candidate,
    n_paired: n,
    difference: { value, low: value - 0.043, high: value + 0.043 },
    mcnemar: { only_baseline: onlyA, only_candidate: onlyB, p_value: Math.min(1, Math.exp(-chi / 2)) },
    flips,
  }
}

const accuracyOf = (target, suite) =>
  'constant' in target ? 0.383 : 'builtin' in suite ? 0.9 : 'endpoint' in target || target.adapter ? 0.948 : 0.615

const datasetView = (d) => ({
  id: d.id,
  name: d.name,
  created_at: d.created_at,
  versions: d.all_versions.length,
  latest: d.all_versions[0] ?? null,
})
const versionOf = (name, v) =>
  find(state.datasets, name, 'dataset').all_versions.find((x) => String(x.version) === v) ??
  (() => {
    throw missing(`version ${name}@${v}`)
  })()

/** One call through the gateway: wrong more often than not, unless a tuned release answers. */
function complete(body) {
  const endpoint = find(state.endpoints, body.model, 'endpoint')
  const at = Math.random() * 100
  let passed = 0
  const share = endpoint.traffic.find((t) => (passed += t.weight) > at) ?? endpoint.traffic[0]
  const release = find(state.releases, share.release_id, 'release')
  const trace = makeTrace(Date.now(), state.endpoints, [release, release, release], state.traces.length)
  const last = body.messages.at(-1).content
  Object.assign(trace, {
    endpoint: endpoint.name,
    release_id: release.id,
    release_name: release.name,
    status: 'ok',
    error_code: null,
    messages: body.messages,
    request: body,
    preview_input: last.split('\n').at(-1),
    output: trace.output ?? '{"bill_found":"false"}',
    feedback_items: [],
  })
  trace.preview_output = trace.output
  state.traces.unshift(trace)
  return {
    trace,
    release,
    reply: {
      id: `chatcmpl-${trace.id.slice(-8)}`,
      object: 'chat.completion',
      model: body.model,
      choices: [{ index: 0, message: { role: 'assistant', content: trace.output }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: trace.prompt_tokens,
        completion_tokens: trace.completion_tokens,
        total_tokens: trace.prompt_tokens + trace.completion_tokens,
      },
    },
  }
}

/** The mock's own list of operations, in the shape of an OpenAPI document. */
function openapi() {
  const paths = {}
  for (const [method, pattern] of routes) {
    const path =
      '/api/v1/' +
      pattern.source
        .slice(1, -1)
        .replaceAll('\\/', '/')
        .replace(/\((?:\[\^\/\]\+|\\d\+|\.\+)\)/g, '{part}')
    ;(paths[path] ??= {})[method.toLowerCase()] = {}
  }
  return { openapi: '3.1.0', info: { title: 'mock' }, paths }
}

const routes = [
  ['GET', /^server$/, () => state.server],
  ['GET', /^overview$/, overview],
  [
    'GET',
    /^traces$/,
    (_, __, q) => {
      const p = page(matching(q), q)
      return { ...p, items: p.items.map((t) => summary(find(state.traces, t.id, 'trace'))) }
    },
  ],
  [
    'GET',
    /^traces\/([^/]+)$/,
    ([id]) => {
      const t = find(state.traces, id, 'trace')
      return { ...shown(t), feedback: feedbackSummary(t.feedback_items) }
    },
  ],
  [
    'POST',
    /^feedback$/,
    (_, body) => {
      const trace = find(state.traces, body.inference_id, 'trace')
      if (body.score !== null && (body.score < 0 || body.score > 1))
        throw new Problem(422, 'invalid', 'Invalid value', 'score must lie between 0 and 1', 'send 1 for good and 0 for bad')
      const made = { id: makeId('fb'), at: iso(Date.now()), by: 'local', ...body }
      trace.feedback_items.push(made)
      record('feedback.create', 'inference', trace.id, { score: body.score })
      return [201, made]
    },
  ],
  ['PUT', /^blobs$/, () => [201, { digest: 'sha256:' + 'ab'.repeat(32), size: 1024 }]],
  ['GET', /^datasets$/, (_, __, q) => page(state.datasets.map(datasetView), q)],
  [
    'GET',
    /^datasets\/([^/]+)$/,
    ([name]) => {
      const d = find(state.datasets, name, 'dataset')
      return { ...datasetView(d), all_versions: d.all_versions }
    },
  ],
  [
    'POST',
    /^datasets\/([^/]+)\/versions$/,
    ([name], body) => {
      let d = state.datasets.find((x) => x.name === name)
      if (!d) state.datasets.unshift((d = { id: makeId('ds'), name, created_at: iso(Date.now()), all_versions: [] }))
      const next = d.all_versions.length + 1
      return [
        202,
        shown(
          startJob('dataset_build', `Build ${name}@${next}`, { dataset: name, ...body }, 3, (job) => {
            const version = makeVersion(
              name,
              next,
              Date.now(),
              job.id,
              { train: 861, validation: 108, test: 108 },
              [
                { label: 'found', count: 664 },
                { label: 'not_found', count: 413 },
              ],
              body.source,
            )
            d.all_versions.unshift(version)
            return { dataset: version.name, version_id: version.id }
          }),
        ),
      ]
    },
  ],
  ['GET', /^datasets\/([^/]+)\/versions\/(\d+)$/, ([name, v]) => versionOf(name, v)],
  [
    'GET',
    /^datasets\/([^/]+)\/versions\/(\d+)\/rows$/,
    ([name, v], _, q) => {
      const version = versionOf(name, v)
      const split = q.get('split') ?? 'train'
      const from = q.get('cursor') ? Number(q.get('cursor')) : 0
      const items = makeRows(version, split, from, Number(q.get('limit') ?? 25), state.traces)
      const next = from + items.length
      return { items, next_cursor: next < version.rows[split] ? String(next) : null }
    },
  ],
  ['GET', /^models$/, (_, __, q) => page(state.models, q)],
  ['GET', /^models\/(.+)$/, ([ref]) => find(state.models, ref, 'model')],
  [
    'GET',
    /^jobs$/,
    (_, __, q) =>
      page(
        state.jobs.filter((j) => (!q.get('kind') || j.kind === q.get('kind')) && (!q.get('state') || j.state === q.get('state'))),
        q,
      ),
  ],
  ['GET', /^jobs\/([^/]+)$/, ([id]) => shown(find(state.jobs, id, 'job'))],
  [
    'POST',
    /^jobs\/([^/]+)\/cancel$/,
    ([id]) => {
      const j = find(state.jobs, id, 'job')
      j.state = 'cancelled'
      j.ended_at = iso(Date.now())
      record('job.cancel', 'job', id)
      return shown(j)
    },
  ],
  [
    'GET',
    /^jobs\/([^/]+)\/metrics$/,
    ([id], _, q) => ({
      items: find(state.jobs, id, 'job')
        ._metrics.filter((m) => m.seq > Number(q.get('after') ?? 0))
        .slice(0, Number(q.get('limit') ?? 1000)),
      next_cursor: null,
    }),
  ],
  [
    'GET',
    /^jobs\/([^/]+)\/logs$/,
    ([id], _, q) => ({ items: find(state.jobs, id, 'job')._logs.filter((m) => m.seq > Number(q.get('after') ?? 0)), next_cursor: null }),
  ],
  [
    'POST',
    /^finetunes$/,
    (_, body) => {
      if (!/^[a-z0-9][a-z0-9-]*$/.test(body.name))
        throw new Problem(422, 'invalid_name', 'Invalid name', `"${body.name}" is not a name`, 'use lower-case letters, digits and hyphens')
      const version = state.models.filter((m) => m.name === body.name).length + 1
      return [
        202,
        shown(
          startJob('finetune', `Fine-tune ${body.name}@${version} on ${body.dataset}`, body, 24, (job) => {
            const ref = `${body.name}@${version}`
            state.models.push({
              ...state.models.find((m) => m.kind === 'adapter'),
              id: makeId('mdl'),
              name: body.name,
              version,
              ref,
              kind: 'adapter',
              base: body.base,
              created_at: iso(Date.now()),
              lineage: {
                job_id: job.id,
                dataset: body.dataset,
                hyperparameters: { rank: body.rank, alpha: body.alpha, seed: body.seed },
                base: body.base,
              },
            })
            return { model: ref, best_val_loss: 0.0334, steps: 240, train_seconds: 61.4, tokens: 983_040 }
          }),
        ),
      ]
    },
  ],
  ['GET', /^evaluations$/, (_, __, q) => page(state.evaluations, q)],
  [
    'POST',
    /^evaluations$/,
    (_, body) => [
      202,
      shown(
        startJob('evaluation', body.name, body, 5, (job) => {
          const accuracy = accuracyOf(body.target, body.suite)
          const made = makeEvaluation(body.name, body.target, body.suite, accuracy, 'builtin' in body.suite ? 400 : 520, Date.now(), job.id)
          state.samples.set(made.id, makeSamples(made, accuracy))
          state.evaluations.unshift(made)
          return { evaluation_id: made.id }
        }),
      ),
    ],
  ],
  [
    'GET',
    /^evaluations\/compare$/,
    (_, __, q) =>
      compare(find(state.evaluations, q.get('baseline'), 'evaluation'), find(state.evaluations, q.get('candidate'), 'evaluation')),
  ],
  ['GET', /^evaluations\/([^/]+)$/, ([id]) => find(state.evaluations, id, 'evaluation')],
  [
    'GET',
    /^evaluations\/([^/]+)\/samples$/,
    ([id], _, q) =>
      page(
        (state.samples.get(id) ?? []).filter((s) => !q.get('correct') || String(s.correct) === q.get('correct')),
        q,
        25,
      ),
  ],
  ['GET', /^gates$/, (_, __, q) => page(state.gates, q)],
  [
    'POST',
    /^gates$/,
    (_, body) => {
      const { difference, mcnemar } = compare(
        find(state.evaluations, body.task.baseline, 'evaluation'),
        find(state.evaluations, body.task.candidate, 'evaluation'),
      )
      const better = difference.value > body.task.min_gain && mcnemar.p_value < body.task.alpha
      const rules = [
        {
          name: 'better on the task',
          passed: better,
          detail: `difference ${difference.value.toFixed(3)}, McNemar p = ${mcnemar.p_value.toExponential(1)}`,
        },
      ]
      const made = { id: makeId('gate'), passed: rules.every((r) => r.passed), rules, created_at: iso(Date.now()), ...body }
      state.gates.unshift(made)
      record('gate.create', 'gate', made.id, { passed: made.passed })
      return [201, made]
    },
  ],
  ['GET', /^releases$/, (_, __, q) => page(state.releases, q)],
  [
    'POST',
    /^releases$/,
    (_, body) => {
      const { name, gate, ...bundle } = body
      if (state.releases.some((r) => r.name === name))
        throw new Problem(
          409,
          'name_taken',
          'Name is taken',
          `a release named "${name}" exists`,
          'releases never change; choose another name',
        )
      const made = {
        id: makeId('rel'),
        name,
        digest: 'sha256:' + 'cd'.repeat(32),
        bundle,
        created_at: iso(Date.now()),
        gate: gate ? find(state.gates, gate, 'gate') : null,
      }
      state.releases.unshift(made)
      record('release.create', 'release', made.id, { name })
      return [201, made]
    },
  ],
  ['GET', /^releases\/([^/]+)$/, ([id]) => find(state.releases, id, 'release')],
  [
    'GET',
    /^releases\/([^/]+)\/lineage$/,
    ([id]) => {
      const release = find(state.releases, id, 'release')
      const model = state.models.find((m) => m.ref === release.bundle.model) ?? null
      const adapter = state.models.find((m) => m.ref === release.bundle.adapter) ?? null
      const version = state.datasets.flatMap((d) => d.all_versions).find((v) => v.name === adapter?.lineage?.dataset) ?? null
      const job = state.jobs.find((j) => j.id === adapter?.lineage?.job_id)
      return {
        release,
        model,
        adapter,
        dataset_version: version,
        training_job: job ? shown(job) : null,
        hyperparameters: adapter?.lineage?.hyperparameters ?? null,
        evaluations: adapter ? state.evaluations.filter((e) => e.target.adapter === adapter.ref) : [],
        gate: release.gate,
        rows: version
          ? {
              total: version.rows.train,
              corrections: 402,
              sample: state.traces.slice(0, 8).map((t) => ({ hash: 'sha256:' + t.config_hash.repeat(4), inference_id: t.id })),
            }
          : null,
      }
    },
  ],
  [
    'GET',
    /^endpoints$/,
    (_, __, q) => {
      const p = page(state.endpoints, q)
      return { ...p, items: p.items.map((e) => ({ ...e, rollout: e.rollout && shown(e.rollout) })) }
    },
  ],
  [
    'GET',
    /^endpoints\/([^/]+)$/,
    ([name]) => {
      const e = find(state.endpoints, name, 'endpoint')
      return { ...e, rollout: e.rollout && shown(e.rollout) }
    },
  ],
  [
    'PUT',
    /^endpoints\/([^/]+)$/,
    ([name], body) => {
      const traffic = body.traffic.map((t) => ({ ...t, release_name: find(state.releases, t.release_id, 'release').name }))
      if (traffic.reduce((sum, t) => sum + t.weight, 0) !== 100)
        throw new Problem(
          422,
          'invalid_traffic',
          'Invalid traffic',
          'the weights must add up to 100',
          'change the weights so that they add up to 100',
        )
      let endpoint = state.endpoints.find((e) => e.name === name)
      if (!endpoint)
        state.endpoints.push(
          (endpoint = {
            id: makeId('ep'),
            name,
            generation: 0,
            traffic: [],
            rollout: null,
            created_at: iso(Date.now()),
            updated_at: '',
            history: [],
          }),
        )
      setTraffic(endpoint, traffic, 'set by hand')
      record('endpoint.set_traffic', 'endpoint', endpoint.id, { traffic: body.traffic })
      return endpoint
    },
  ],
  [
    'POST',
    /^endpoints\/([^/]+)\/rollback$/,
    ([name]) => {
      const endpoint = find(state.endpoints, name, 'endpoint')
      if (endpoint.rollout) end(endpoint.rollout, 'rolled_back', 'endpoint rolled back by hand')
      else if (endpoint.history[1])
        setTraffic(endpoint, endpoint.history[1].traffic, `rolled back to generation ${endpoint.history[1].generation}`)
      else
        throw new Problem(409, 'no_previous', 'Nothing to roll back to', 'this endpoint has only one generation', 'set its traffic instead')
      record('endpoint.rollback', 'endpoint', endpoint.id)
      return endpoint
    },
  ],
  ['GET', /^rollouts$/, (_, __, q) => page(state.rollouts, q)],
  ['GET', /^rollouts\/([^/]+)$/, ([id]) => shown(find(state.rollouts, id, 'rollout'))],
  [
    'POST',
    /^rollouts$/,
    (_, body) => {
      const endpoint = find(state.endpoints, body.endpoint, 'endpoint')
      if (endpoint.rollout)
        throw new Problem(
          409,
          'rollout_running',
          'A rollout is running',
          `"${endpoint.name}" already has a running rollout`,
          'promote it or roll it back first',
        )
      const candidate = find(state.releases, body.candidate, 'release')
      if (candidate.gate && candidate.gate.passed === false && !body.override_gate)
        throw new Problem(
          409,
          'gate_failed',
          'The gate did not pass',
          'the release has a gate that did not pass',
          'give a reason to override it, or train a better candidate',
        )
      const baseline = endpoint.traffic.toSorted((a, b) => b.weight - a.weight)[0]
      const made = {
        id: makeId('ro'),
        endpoint: endpoint.name,
        baseline: baseline.release_id,
        candidate: candidate.id,
        baseline_name: baseline.release_name,
        candidate_name: candidate.name,
        state: 'running',
        stage: 0,
        stages: body.stages,
        weight: 0,
        started_at: iso(Date.now()),
        ended_at: null,
        reason: null,
        decisions: [],
        _ticks: 0,
        _auto: true,
      }
      decide(made, 'start', `${body.stages[0]} % of traffic to ${candidate.name}`)
      state.rollouts.unshift(made)
      endpoint.rollout = made
      moveTraffic(endpoint, made, body.stages[0], `rollout started at ${body.stages[0]} %`)
      record('rollout.start', 'rollout', made.id, { stages: body.stages })
      return [201, shown(made)]
    },
  ],
  ['POST', /^rollouts\/([^/]+)\/promote$/, ([id]) => shown(end(find(state.rollouts, id, 'rollout'), 'promoted', 'promoted by hand'))],
  [
    'POST',
    /^rollouts\/([^/]+)\/rollback$/,
    ([id]) => shown(end(find(state.rollouts, id, 'rollout'), 'rolled_back', 'rolled back by hand')),
  ],
  ['GET', /^keys$/, (_, __, q) => page(state.keys, q)],
  [
    'POST',
    /^keys$/,
    (_, body) => {
      const made = {
        id: makeId('key'),
        name: body.name,
        prefix: 'pk_N3wk',
        scopes: body.scopes,
        created_at: iso(Date.now()),
        revoked_at: null,
        last_used_at: null,
      }
      state.keys.unshift(made)
      record('key.create', 'key', made.id, { name: body.name })
      return [201, { ...made, secret: 'pk_N3wk' + 'x7Qp2mL9'.repeat(4) }]
    },
  ],
  [
    'DELETE',
    /^keys\/([^/]+)$/,
    ([id]) => {
      const key = find(state.keys, id, 'key')
      key.revoked_at = iso(Date.now())
      record('key.revoke', 'key', id)
      return key
    },
  ],
  ['GET', /^audit$/, (_, __, q) => page(state.audit, q)],
]

async function answerApi(request, response, url) {
  const address = url.pathname.slice('/api/v1/'.length)
  const reply = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(JSON.stringify(body))
  }
  try {
    if (state.server.auth_required && address !== 'server' && request.headers.authorization !== `Bearer ${SECRET}`) {
      throw new Problem(
        401,
        'unauthorized',
        'A key is needed',
        'the request carried no valid API key',
        'create one with: pelton key create --name me --scope admin',
      )
    }
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const raw = Buffer.concat(chunks).toString()
    const body = raw && request.headers['content-type']?.startsWith('application/json') ? JSON.parse(raw) : null
    if (url.pathname === '/api/openapi.json') return reply(200, openapi())
    if (url.pathname === '/v1/chat/completions') {
      const { trace, release, reply: answer } = complete(body)
      response.setHeader('x-pelton-inference-id', trace.id)
      response.setHeader('x-pelton-release', release.name)
      return reply(200, answer)
    }
    for (const [method, pattern, run] of routes) {
      const match = method === request.method && pattern.exec(address)
      if (!match) continue
      const result = run(match.slice(1).map(decodeURIComponent), body, url.searchParams)
      return Array.isArray(result) ? reply(result[0], result[1]) : reply(200, result)
    }
    throw missing(`operation ${request.method} ${url.pathname}`)
  } catch (problem) {
    const known = problem instanceof Problem
    reply(known ? problem.status : 500, {
      error: {
        code: known ? problem.code : 'internal',
        title: known ? problem.title : 'Internal error',
        message: problem.message,
        hint: problem.hint ?? null,
        request_id: makeId('req'),
      },
    })
  }
}

async function answerFile(response, url) {
  const wanted = normalize(url.pathname).replace(/^(\.\.[/\\])+/, '')
  const read = async (path) => ({ data: await readFile(join(DIST, path)), type: TYPES[extname(path)] ?? 'application/octet-stream' })
  try {
    const file = await read(wanted === '/' ? 'index.html' : wanted).catch((cause) => {
      if (wanted.startsWith('/assets/')) throw cause
      return read('index.html')
    })
    response.writeHead(200, { 'content-type': file.type, 'content-security-policy': CSP, 'x-content-type-options': 'nosniff' })
    response.end(file.data)
  } catch {
    response.writeHead(404).end('no such file; run "npm run build" first\n')
  }
}

const timer = setInterval(() => {
  advanceJobs(Date.now())
  advanceTraffic(Date.now())
}, 250)

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost')
  if (url.pathname.startsWith('/api/') || url.pathname.startsWith('/v1/')) void answerApi(request, response, url)
  else void answerFile(response, url)
})
server.listen(Number(option('port', '7077')), '127.0.0.1', () =>
  process.stdout.write(`mock server on http://127.0.0.1:${server.address().port}\n`),
)
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    clearInterval(timer)
    server.close()
    server.closeAllConnections()
  })
