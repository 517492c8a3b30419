/** Tables that scroll sideways by themselves on a narrow screen. */
import type { ReactNode } from 'react'
import { ScrollBox } from './scroll-box'

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
  /** Limits the height; the table then scrolls in both directions. */
  height?: string
}

export function Table<T>({ label, columns, rows, rowKey, onOpen, active, height = '' }: TableProps<T>) {
  return (
    <ScrollBox label={label} className={height}>
      <table className="w-full border-collapse text-sm">
        <thead>
          <tr>
            {columns.map((column, i) => (
              <th
                key={i}
                scope="col"
                className={`border-b border-line px-3 py-2 text-xs first:pl-4 last:pr-4 font-medium whitespace-nowrap text-ink-3 ${column.align === 'right' ? 'text-right' : 'text-left'}`}
              >
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
                <td
                  key={j}
                  className={`border-b border-line px-3 py-2.5 align-top first:pl-4 last:pr-4 [tr:last-child>&]:border-b-0 ${column.align === 'right' ? 'num text-right' : ''} ${column.className ?? ''}`}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  )
}
