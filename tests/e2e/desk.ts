/** A small telco desk: bill headers, a question, and the answer that an expert would give. Seeded. */
import type { APIRequestContext } from '@playwright/test'

export interface DeskItem {
  prompt: string
  answer: string
}

const SYSTEM = 'Find the bill. Answer with JSON: {"bill_found":"true","bill_id":"...","bill_date":"..."} or {"bill_found":"false"}'

function makeRandom(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export function deskItem(seed: number): DeskItem {
  const random = makeRandom(seed)
  const whole = (low: number, high: number) => low + Math.floor(random() * (high - low + 1))
  const bills = Array.from({ length: whole(3, 4) }, (_, i) => ({
    id: `B${whole(1, 9)}${i}${whole(0, 9)}`,
    date: `2026-0${whole(1, 9)}-${whole(10, 28)}`,
    amount: `${whole(11, 89)}.${whole(10, 99)}`,
  }))
  const found = random() < 0.6
  const asked = bills[whole(0, bills.length - 1)]!
  const amount = found ? asked.amount : '97.31'
  const lines = bills.map((b) => `id ${b.id} date ${b.date} amount ${b.amount}`)
  return {
    prompt: `${lines.join('\n')}\nWhich bill has the amount ${amount}?`,
    answer: found ? `{"bill_found":"true","bill_id":"${asked.id}","bill_date":"${asked.date}"}` : '{"bill_found":"false"}',
  }
}

/** Asks an endpoint through the gateway, as an application would. */
export async function ask(
  request: APIRequestContext,
  endpoint: string,
  item: DeskItem,
  user: string,
): Promise<{ inferenceId: string; text: string; release: string }> {
  const response = await request.post('/v1/chat/completions', {
    data: {
      model: endpoint,
      user,
      max_tokens: 48,
      temperature: 0,
      messages: [
        { role: 'system', content: SYSTEM },
        { role: 'user', content: item.prompt },
      ],
    },
    timeout: 60_000,
  })
  if (!response.ok()) throw new Error(`${endpoint} answered ${response.status()}: ${await response.text()}`)
  const body = (await response.json()) as {
    choices: { message: { content: string | null } }[]
  }
  const headers = response.headers()
  return {
    inferenceId: headers['x-pelton-inference-id'] ?? '',
    text: body.choices[0]?.message.content ?? '',
    release: headers['x-pelton-release'] ?? '',
  }
}

/** Says what the expert says: a score, and the right answer where the given one was wrong. */
export async function judge(request: APIRequestContext, inferenceId: string, text: string, item: DeskItem) {
  const right = text.trim() === item.answer
  const response = await request.post('/api/v1/feedback', {
    data: {
      inference_id: inferenceId,
      score: right ? 1 : 0,
      label: null,
      correction: right ? null : item.answer,
      comment: null,
      source: 'application',
    },
  })
  if (!response.ok()) throw new Error(`feedback: ${response.status()} ${await response.text()}`)
}

/** Runs `work` for each index, a few at a time. */
export async function inParallel(count: number, width: number, work: (i: number) => Promise<void>) {
  let next = 0
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await work(next++)
    }),
  )
}
