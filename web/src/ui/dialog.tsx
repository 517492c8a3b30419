/**
 * Modal dialogs on the platform's own element: focus stays inside, Escape closes, the rest is inert.
 *
 * A library dialog locks scrolling through a style element, which the content security policy refuses.
 */
import { X } from 'lucide-react'
import { type ReactNode, type SubmitEvent, useId, useLayoutEffect, useRef } from 'react'
import { Button } from './button'
import { ErrorNote } from './states'

interface DialogProps {
  title: string
  description?: ReactNode
  onClose: () => void
  children?: ReactNode
  wide?: boolean
}

export function Dialog({ title, description, onClose, children, wide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  // Before the element leaves the page, so that closing gives the focus back to what opened it.
  useLayoutEffect(() => {
    const dialog = element.current
    if (dialog && !dialog.open) {
      dialog.showModal()
      // The platform would choose the close button, which stands first.
      dialog.querySelector<HTMLElement>('form input:not([disabled]), form select:not([disabled]), form button')?.focus()
    }
    return () => dialog?.close()
  }, [])
  return (
    <dialog
      ref={element}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      className={`m-auto max-h-[calc(100dvh-2rem)] w-[calc(100vw-2rem)] overflow-y-auto rounded-2xl border border-line bg-surface shadow-float ${wide ? 'max-w-3xl' : 'max-w-xl'}`}
    >
      <div className="flex flex-col gap-4 p-5">
        <div className="flex items-start justify-between gap-3">
          <div>
            <h2 id={titleId} className="text-lg font-semibold">
              {title}
            </h2>
            {description && <div className="mt-1 text-sm text-ink-2">{description}</div>}
          </div>
          <Button look="quiet" className="-mt-1 -mr-2 px-2" onClick={onClose} aria-label="Close">
            <X className="size-4" aria-hidden />
          </Button>
        </div>
        {children}
      </div>
    </dialog>
  )
}

interface FormDialogProps extends DialogProps {
  submit: string
  onSubmit: () => void
  busy: boolean
  error: unknown
  danger?: boolean
  disabled?: boolean
}

/** A dialog with one form: Enter submits, the error of the last try stands above the buttons. */
export function FormDialog({ submit, onSubmit, busy, error, danger = false, disabled = false, children, ...dialog }: FormDialogProps) {
  function handle(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault()
    onSubmit()
  }
  return (
    <Dialog {...dialog}>
      <form onSubmit={handle} className="flex flex-col gap-4">
        {children}
        {error ? <ErrorNote error={error} /> : null}
        <div className="flex justify-end gap-2">
          <Button onClick={dialog.onClose}>Cancel</Button>
          <Button type="submit" look={danger ? 'danger' : 'primary'} busy={busy} disabled={disabled}>
            {submit}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
