/** What a comparison allows to be said, in words that do not claim more than the numbers. */
import type { Comparison } from '../api/types'
import type { Tone } from '../ui/badge'

export interface Verdict {
  tone: Tone
  title: string
  text: string
}

const ALPHA = 0.05

export function verdict(c: Pick<Comparison, 'difference' | 'mcnemar'>): Verdict {
  const { low, high } = c.difference
  const significant = c.mcnemar.p_value < ALPHA
  if (significant && low > 0) {
    return {
      tone: 'good',
      title: 'better',
      text: 'The candidate is better: the whole interval lies above zero, and McNemar’s test rules out chance at the 5% level.',
    }
  }
  if (significant && high < 0) {
    return {
      tone: 'bad',
      title: 'worse',
      text: 'The candidate is worse: the whole interval lies below zero, and McNemar’s test rules out chance at the 5% level.',
    }
  }
  if (low <= 0 && high >= 0) {
    return {
      tone: 'warn',
      title: 'no difference shown',
      text: 'These items do not show a difference: the interval contains zero. That is not a proof that there is none; more items narrow the interval.',
    }
  }
  return {
    tone: 'warn',
    title: 'not settled',
    text: 'The interval and McNemar’s test do not agree at the 5% level. Evaluate on more items before deciding.',
  }
}
