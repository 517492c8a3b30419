/** j and k move through a list, Enter opens the row. */
import { useEffect, useState } from 'react'
import { isTyping } from '../shell/shortcuts'

export function useRowKeys(length: number, open: (index: number) => void): number | undefined {
  const [active, setActive] = useState<number>()
  useEffect(() => {
    function handle(event: KeyboardEvent) {
      if (isTyping(event)) return
      if (event.key === 'j' || event.key === 'k') {
        const step = event.key === 'j' ? 1 : -1
        setActive((at) => {
          const next = at === undefined ? 0 : Math.min(length - 1, Math.max(0, at + step))
          document.querySelector(`[data-row="${next}"]`)?.scrollIntoView({ block: 'nearest' })
          return next
        })
      } else if (event.key === 'Enter' && active !== undefined && active < length && !(event.target as HTMLElement).closest('a,button')) {
        open(active)
      }
    }
    window.addEventListener('keydown', handle)
    return () => window.removeEventListener('keydown', handle)
  }, [active, length, open])
  return active
}
