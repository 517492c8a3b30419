/** Keyboard shortcuts that work on every page: g and a letter goes to a section, ? lists them. */
import { useEffect, useRef, useState } from 'react'
import { useNavigate } from 'react-router'
import { Dialog } from '../ui/dialog'
import { SECTIONS } from './sections'

/** Whether a key press belongs to a control or a dialog and not to the page. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null
  if (event.ctrlKey || event.metaKey || event.altKey) return true
  return (
    Boolean(target?.closest('input,textarea,select,dialog,[contenteditable],[role="menu"]')) ||
    document.querySelector('dialog[open]') !== null
  )
}

export function useGoTo(): { open: boolean; close: () => void } {
  const navigate = useNavigate()
  const [open, setOpen] = useState(false)
  const pressedG = useRef(0)
  useEffect(() => {
    function handle(event: KeyboardEvent) {
      if (isTyping(event)) return
      if (event.key === '?') setOpen(true)
      else if (event.key === 'g') pressedG.current = event.timeStamp
      else if (event.timeStamp - pressedG.current < 1200) {
        const section = SECTIONS.find((s) => s.key === event.key)
        pressedG.current = 0
        if (section) void navigate(section.to)
      }
    }
    window.addEventListener('keydown', handle)
    return () => window.removeEventListener('keydown', handle)
  }, [navigate])
  return { open, close: () => setOpen(false) }
}

export function ShortcutHelp({ onClose }: { onClose: () => void }) {
  const rows: [string[], string][] = [
    ...SECTIONS.map((s): [string[], string] => [['g', s.key], s.label]),
    [['j'], 'Next row in a list'],
    [['k'], 'Previous row in a list'],
    [['Enter'], 'Open the row'],
    [['/'], 'Search'],
    [['Esc'], 'Close a dialog'],
  ]
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl className="grid grid-cols-1 gap-x-8 gap-y-2 text-sm sm:grid-cols-2">
        {rows.map(([keys, what]) => (
          <div key={what} className="flex items-center justify-between gap-3">
            <dt>{what}</dt>
            <dd className="flex gap-1">
              {keys.map((key) => (
                <kbd key={key} className="min-w-6 rounded border border-line-strong bg-sunken px-1.5 text-center text-xs leading-5">
                  {key}
                </kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
