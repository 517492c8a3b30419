/** A command to copy. */
import { Check, Copy } from 'lucide-react'
import { useState } from 'react'

export function Snippet({ code, label = 'Command' }: { code: string; label?: string }) {
  const [copied, setCopied] = useState(false)
  async function copy() {
    await copyText(code)
    setCopied(true)
    window.setTimeout(() => setCopied(false), 1500)
  }
  return (
    <div className="relative w-full min-w-0 rounded-lg border border-line bg-sunken text-left">
      <pre className="overflow-x-auto py-2.5 pr-11 pl-3.5 text-xs leading-relaxed text-ink" tabIndex={0} role="region" aria-label={label}>
        {code}
      </pre>
      <button
        type="button"
        onClick={() => void copy()}
        className="absolute top-1.5 right-1.5 rounded-md p-1.5 text-ink-2 hover:bg-surface"
        aria-label={copied ? 'Copied' : 'Copy'}
      >
        {copied ? <Check className="size-4" aria-hidden /> : <Copy className="size-4" aria-hidden />}
      </button>
    </div>
  )
}

/** Plain HTTP on another machine's address has no clipboard API; the old way works there. */
async function copyText(text: string) {
  if (window.isSecureContext) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
  return undefined
}
