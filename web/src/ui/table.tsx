/** Tables that scroll sideways by themselves on a narrow screen. */
import type { ReactNode } from 'react'

export interface Column<T> {
  header: ReactNode
  cell: (row: T) => ReactNode
  align?: 'right'
  className?: string
}

interface TableProps<T> {
  label: string
  columns: Column<T>[]
  rows: T[]
  rowKey: (row: T) => string
  onOpen?: (row: T) => void
  active?: number
}

export function Table<T>({ label, columns, rows, rowKey, onOpen, active }: TableProps<T>) {
  return (
    // A region that scrolls must be reachable with the keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="overflow-x-auto" role="region" aria-label={label} tabIndex={0}>
      <table className="w-full border-collapse text-sm">
        <thead>
          <tr>
            {columns.map((column, i) => (
              <th key={i} scope="col" className={`border-b border-line px-4 py-2 text-xs font-medium whitespace-nowrap text-ink-3 ${column.align === 'right' ? 'text-right' : 'text-left'}`}>
                {column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr
              key={rowKey(row)}
              data-row={i}
              className={`${onOpen ? 'cursor-pointer hover:[&>td]:bg-sunken' : ''} ${active === i ? 'row-active' : ''}`}
              onClick={onOpen && ((event) => !(event.target as HTMLElement).closest('a,button,input,label') && onOpen(row))}
            >
              {columns.map((column, j) => (
                <td key={j} className={`border-b border-line px-4 py-2.5 align-top ${column.align === 'right' ? 'num text-right' : ''} ${column.className ?? ''}`}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
