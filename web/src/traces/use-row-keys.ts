/**
 * j and k move through a list, Enter opens the row.
 *
 * The chosen row is kept by id: a live list grows at its top, and Enter must open the row that is
 * marked, not the one that has moved to its place.
 */
import { useEffect, useState } from 'react'
import { isTyping } from '../shell/shortcuts'

/** The place of the chosen row, if it is still in the list. */
export function useRowKeys(ids: string[], open: (id: string) => void): number | undefined {
  const [chosen, setChosen] = useState<string>()
  const place = chosen === undefined ? -1 : ids.indexOf(chosen)
  useEffect(() => {
    function handle(event: KeyboardEvent) {
      if (isTyping(event)) return
      if (event.key === 'j' || event.key === 'k') {
        const next = place < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, place + (event.key === 'j' ? 1 : -1)))
        setChosen(ids[next])
        document.querySelector(`[data-row="${next}"]`)?.scrollIntoView({ block: 'nearest' })
      } else if (event.key === 'Enter' && chosen !== undefined && place >= 0 && !(event.target as HTMLElement).closest('a,button')) {
        open(chosen)
      }
    }
    window.addEventListener('keydown', handle)
    return () => window.removeEventListener('keydown', handle)
  }, [chosen, ids, open, place])
  return place < 0 ? undefined : place
}
