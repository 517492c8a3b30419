/** Light, dark, or what the system says. Kept in the browser; applied before the first paint by theme.js. */
import { useSyncExternalStore } from 'react'

export type Theme = 'system' | 'light' | 'dark'

const listeners = new Set<() => void>()

function current(): Theme {
  const chosen = document.documentElement.dataset.theme
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system'
}

export function setTheme(theme: Theme) {
  try {
    if (theme === 'system') {
      delete document.documentElement.dataset.theme
      localStorage.removeItem('pelton.theme')
    } else {
      document.documentElement.dataset.theme = theme
      localStorage.setItem('pelton.theme', theme)
    }
  } catch {
    // Blocked storage: the choice then lives as long as this page.
  }
  listeners.forEach((listener) => listener())
}

export function useTheme(): Theme {
  return useSyncExternalStore((listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }, current)
}
