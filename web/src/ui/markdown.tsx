/**
 * Cards are Markdown written by people and jobs. This renders the part they use (headings, lists,
 * tables, code, emphasis) as elements, never as HTML, so a card cannot carry a script.
 */
import { Fragment, type ReactNode } from 'react'

export function Markdown({ text }: { text: string }) {
  return (
    <div className="prose text-sm">
      {blocks(withoutFrontMatter(text)).map((block, i) => (
        <Fragment key={i}>{render(block)}</Fragment>
      ))}
    </div>
  )
}

export type Block =
  | { kind: 'heading'; level: number; text: string }
  | { kind: 'list'; items: string[] }
  | { kind: 'code'; text: string }
  | { kind: 'table'; rows: string[][] }
  | { kind: 'paragraph'; text: string }

function withoutFrontMatter(text: string): string {
  return text.replace(/^---\n[\s\S]*?\n---\n/, '')
}

export function blocks(text: string): Block[] {
  const found: Block[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    const heading = /^(#{1,6})\s+(.*)/.exec(line)
    if (heading) {
      found.push({ kind: 'heading', level: heading[1]?.length ?? 1, text: heading[2] ?? '' })
    } else if (line.startsWith('```')) {
      const end = lines.findIndex((l, at) => at > i && l.startsWith('```'))
      const stop = end < 0 ? lines.length : end
      found.push({ kind: 'code', text: lines.slice(i + 1, stop).join('\n') })
      i = stop
    } else if (/^\s*[-*]\s+/.test(line)) {
      const items: string[] = []
      while (i < lines.length && /^\s*[-*]\s+/.test(lines[i] ?? '')) items.push((lines[i++] ?? '').replace(/^\s*[-*]\s+/, ''))
      i -= 1
      found.push({ kind: 'list', items })
    } else if (line.startsWith('|')) {
      const rows: string[][] = []
      while (i < lines.length && (lines[i] ?? '').startsWith('|')) {
        const cells = (lines[i++] ?? '')
          .replace(/^\||\|\s*$/g, '')
          .split('|')
          .map((c) => c.trim())
        if (!cells.every((c) => /^:?-+:?$/.test(c))) rows.push(cells)
      }
      i -= 1
      found.push({ kind: 'table', rows })
    } else if (line.trim()) {
      const last = found.at(-1)
      if (last?.kind === 'paragraph' && (lines[i - 1] ?? '').trim()) last.text += ` ${line.trim()}`
      else found.push({ kind: 'paragraph', text: line.trim() })
    }
  }
  return found
}

function render(block: Block): ReactNode {
  switch (block.kind) {
    case 'heading':
      return <h3>{inline(block.text)}</h3>
    case 'list':
      return (
        <ul>
          {block.items.map((item, i) => (
            <li key={i}>{inline(item)}</li>
          ))}
        </ul>
      )
    case 'code':
      return <pre className="my-2 overflow-x-auto rounded-lg border border-line bg-sunken p-3 text-xs">{block.text}</pre>
    case 'table':
      return (
        <div className="overflow-x-auto">
          <table>
            <tbody>
              {block.rows.map((row, i) => (
                <tr key={i}>{row.map((cell, j) => (i === 0 ? <th key={j}>{inline(cell)}</th> : <td key={j}>{inline(cell)}</td>))}</tr>
              ))}
            </tbody>
          </table>
        </div>
      )
    case 'paragraph':
      return <p>{inline(block.text)}</p>
  }
}

function inline(text: string): ReactNode[] {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|!?\[[^\]]*\]\([^)]*\))/).map((part, i) => {
    if (part.startsWith('`')) return <code key={i}>{part.slice(1, -1)}</code>
    if (part.startsWith('**')) return <strong key={i}>{part.slice(2, -2)}</strong>
    const link = /^(!?)\[([^\]]*)\]\(([^)]*)\)$/.exec(part)
    if (link) {
      const [, image, label, target] = link
      if (image || !/^https?:\/\//.test(target ?? '')) return <Fragment key={i}>{label}</Fragment>
      return (
        <a key={i} href={target} rel="noreferrer noopener" target="_blank">
          {label}
        </a>
      )
    }
    return <Fragment key={i}>{part}</Fragment>
  })
}
