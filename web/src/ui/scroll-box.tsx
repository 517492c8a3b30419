/** A part that scrolls by itself. It can be reached with the keyboard, so that it scrolls without a mouse. */
import type { ReactNode } from 'react'

export function ScrollBox({ label, className, children }: { label: string; className: string; children: ReactNode }) {
  return (
    <div className={`relative overflow-auto ${className}`} role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  )
}
