/** Short confirmations, announced to screen readers and gone after a few seconds. */
import { CircleCheck, X } from 'lucide-react'
import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from 'react'

interface Toast {
  id: number
  text: ReactNode
}

const ToastContext = createContext<(text: ReactNode) => void>(() => undefined)

export function useToast() {
  return useContext(ToastContext)
}

export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([])
  const nextId = useRef(0)
  const dismiss = useCallback((id: number) => setToasts((all) => all.filter((t) => t.id !== id)), [])
  const show = useCallback(
    (text: ReactNode) => {
      const id = nextId.current++
      setToasts((all) => [...all.slice(-2), { id, text }])
      window.setTimeout(() => dismiss(id), 6000)
    },
    [dismiss],
  )
  const value = useMemo(() => show, [show])
  return (
    <ToastContext.Provider value={value}>
      {children}
      <div
        role="status"
        aria-live="polite"
        className="pointer-events-none fixed right-4 bottom-4 z-50 flex max-w-[calc(100vw-2rem)] flex-col gap-2"
      >
        {toasts.map((toast) => (
          <div
            key={toast.id}
            className="pointer-events-auto flex items-center gap-2.5 rounded-lg border border-line bg-surface px-3.5 py-2.5 text-sm shadow-float"
          >
            <CircleCheck className="size-4 shrink-0 text-good" aria-hidden />
            <span className="min-w-0">{toast.text}</span>
            <button type="button" aria-label="Dismiss" className="rounded p-1 text-ink-3 hover:text-ink" onClick={() => dismiss(toast.id)}>
              <X className="size-3.5" aria-hidden />
            </button>
          </div>
        ))}
      </div>
    </ToastContext.Provider>
  )
}
