/** The width of an element in pixels, followed as it changes. */
import { useCallback, useState } from 'react'

export function useWidth(initial = 600): [(element: HTMLElement | null) => (() => void) | undefined, number] {
  const [width, setWidth] = useState(initial)
  const ref = useCallback(
    (element: HTMLElement | null) => {
      if (!element) return undefined
      setWidth(element.clientWidth || initial)
      if (typeof ResizeObserver === 'undefined') return undefined
      const observer = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width))
      observer.observe(element)
      return () => observer.disconnect()
    },
    [initial],
  )
  return [ref, width]
}
