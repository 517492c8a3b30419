/** The log of a job, the newest line last and kept in view while it runs. */
import { useEffect, useRef } from 'react'
import { clock } from '../format/time'
import { QueryState } from '../ui/states'
import { useLogs } from './job-queries'

export function LogView({ id, active }: { id: string; active: boolean }) {
  const logs = useLogs(id, active)
  const frame = useRef<HTMLDivElement>(null)
  const lines = logs.data?.length ?? 0
  useEffect(() => {
    const element = frame.current
    if (element && active) element.scrollTop = element.scrollHeight
  }, [lines, active])
  return (
    <QueryState query={logs}>
      {(all) => (
        <div
          ref={frame}
          className="max-h-80 overflow-auto rounded-lg border border-line bg-sunken p-3 font-mono text-xs leading-relaxed"
          tabIndex={0}
          role="region"
          aria-label="Log"
        >
          {all.length === 0 && <span className="text-ink-2">No line yet.</span>}
          {all.map((line) => (
            <div key={line.seq} className={line.level === 'error' ? 'text-bad' : line.level === 'warn' ? 'text-warn' : 'text-ink'}>
              <span className="text-ink-2">{clock(line.at)}</span> {line.message}
            </div>
          ))}
        </div>
      )}
    </QueryState>
  )
}
