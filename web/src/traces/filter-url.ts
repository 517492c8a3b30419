/** The filter of the traces list lives in the address, so that a view can be shared. */
import type { TraceFilter } from '../api/types'

const TEXTS = ['endpoint', 'release', 'model', 'status', 'text', 'since', 'until'] as const
const FLAGS = ['has_feedback', 'has_correction'] as const

export function filterFromUrl(search: URLSearchParams): TraceFilter {
  const filter: TraceFilter = {}
  for (const name of TEXTS) {
    const value = search.get(name)
    if (value) filter[name] = value
  }
  for (const name of FLAGS) {
    const value = search.get(name)
    if (value === 'true' || value === 'false') filter[name] = value === 'true'
  }
  return filter
}

/** The address with one part of the filter changed; an empty value removes it. */
export function withFilter(search: URLSearchParams, name: keyof TraceFilter, value: string): URLSearchParams {
  const next = new URLSearchParams(search)
  if (value) next.set(name, value)
  else next.delete(name)
  return next
}
