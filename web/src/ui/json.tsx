/** JSON as indented text with its keys, strings and numbers told apart. */
import { useMemo } from 'react'

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g

export function Json({ value, label }: { value: unknown; label: string }) {
  const text = useMemo(() => JSON.stringify(value, null, 2) ?? 'null', [value])
  const parts = useMemo(() => tokens(text), [text])
  return (
    <pre
      className="max-h-[32rem] overflow-auto rounded-lg border border-line bg-sunken p-3.5 text-xs leading-relaxed"
      tabIndex={0}
      role="region"
      aria-label={label}
    >
      {parts.map((part, i) =>
        part.color ? (
          <span key={i} className={part.color}>
            {part.text}
          </span>
        ) : (
          part.text
        ),
      )}
    </pre>
  )
}

function tokens(text: string): { text: string; color: string | null }[] {
  const parts: { text: string; color: string | null }[] = []
  let from = 0
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > from) parts.push({ text: text.slice(from, match.index), color: null })
    const [all, string, colon] = match
    parts.push({ text: all, color: string ? (colon ? 'text-accent' : 'text-ink') : 'text-bronze' })
    from = match.index + all.length
  }
  parts.push({ text: text.slice(from), color: null })
  return parts
}
