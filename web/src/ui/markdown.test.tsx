import { render } from '@testing-library/react'
import { describe, expect, it } from 'vitest'
import { blocks, Markdown } from './markdown'

describe('cards', () => {
  it('reads the parts that cards use', () => {
    const text =
      '---\nlicense: apache\n---\n# Title\n\nTwo\nlines.\n\n- one\n- two\n\n```sh\nrun # it\n```\n| a | b |\n|---|---|\n| 1 | 2 |\n'
    expect(blocks(text.replace(/^---\n[\s\S]*?\n---\n/, '')).map((b) => b.kind)).toEqual(['heading', 'paragraph', 'list', 'code', 'table'])
  })

  it('ends with an unclosed code block', () => {
    expect(blocks('```\nforever')).toEqual([{ kind: 'code', text: 'forever' }])
  })

  it('never turns a card into HTML or a script address', () => {
    const { container } = render(
      <Markdown text={'<img src=x onerror=alert(1)> **bold** [click](javascript:alert(1)) [ok](https://example.org)'} />,
    )
    expect(container.querySelector('img')).toBeNull()
    expect([...container.querySelectorAll('a')].map((a) => a.getAttribute('href'))).toEqual(['https://example.org'])
    expect(container.querySelector('strong')?.textContent).toBe('bold')
  })
})
