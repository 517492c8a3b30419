/** Ids, digests and what an evaluation ran on, short enough for a table. */
import type { EvaluationSuite, EvaluationTarget, ReleaseBundle } from '../api/types'

export function shortId(id: string): string {
  const at = id.indexOf('_')
  return at < 0 ? id.slice(0, 8) : `${id.slice(0, at)}_…${id.slice(-6)}`
}

export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12)
}

export function targetName(target: EvaluationTarget): string {
  if ('endpoint' in target) return `endpoint ${target.endpoint}`
  if ('constant' in target) return 'constant answer'
  return target.adapter ? target.adapter : target.model
}

export function suiteName(suite: EvaluationSuite): string {
  if ('builtin' in suite) return suite.builtin
  return `${suite.dataset} ${suite.split}`
}

/** Two evaluations can be compared item by item when this is the same for both. */
export function suiteKey(suite: EvaluationSuite): string {
  return 'builtin' in suite
    ? `builtin:${suite.builtin}:${suite.limit ?? ''}`
    : `dataset:${suite.dataset}:${suite.split}:${suite.limit ?? ''}:${suite.seed ?? ''}`
}

export function bundleName(bundle: ReleaseBundle): string {
  if (bundle.upstream) return `${bundle.upstream.provider}/${bundle.upstream.model}`
  if (bundle.adapter) return `${bundle.adapter} on ${bundle.model ?? 'its base'}`
  return bundle.model ?? 'nothing'
}

/** What a message says, as text: content can be a string or a list of parts. */
export function contentText(content: unknown): string {
  if (content === null || content === undefined) return ''
  if (typeof content === 'string') return content
  if (Array.isArray(content)) {
    return content
      .map((part: unknown) => {
        if (typeof part === 'object' && part && 'text' in part && typeof part.text === 'string') return part.text
        if (typeof part === 'object' && part && 'type' in part) return `[${String(part.type)}]`
        return String(part)
      })
      .join('\n')
  }
  return JSON.stringify(content, null, 2)
}
