/** Instants as "4 min ago" with the exact time on hover and in the accessible name. */
import { useSyncExternalStore } from 'react'
import type { Instant } from '../api/types'

export function ago(instant: Instant, now: number): string {
  const passed = Math.round((now - Date.parse(instant)) / 1000)
  if (passed < 5) return 'just now'
  if (passed < 60) return `${passed} s ago`
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`
  return `${Math.floor(passed / 86_400)} d ago`
}

let tick = Date.now()
const listeners = new Set<() => void>()
let timer: number | undefined

function subscribe(listener: () => void) {
  listeners.add(listener)
  timer ??= window.setInterval(() => {
    tick = Date.now()
    listeners.forEach((each) => each())
  }, 5000)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) {
      window.clearInterval(timer)
      timer = undefined
    }
  }
}

/** The present, which moves every five seconds and rerenders what shows it. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => tick)
}

export function Ago({ at }: { at: Instant | null }) {
  const now = useNow()
  if (!at) return <>–</>
  return (
    <time dateTime={at} title={exact(at)} className="whitespace-nowrap">
      {ago(at, now)}
    </time>
  )
}

export function exact(instant: Instant): string {
  return new Date(instant).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
}

export function clock(instant: Instant): string {
  return new Date(instant).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
}

export function elapsedSeconds(from: Instant | null, to: Instant | null, now: number): number | null {
  if (!from) return null
  return Math.max(0, ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000)
}
