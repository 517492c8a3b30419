/** Counts by name, longest first as given, each with its share of the largest. */
import { count } from '../format/number'

export function BarList({ items, label }: { items: { name: string; value: number }[]; label: string }) {
  const most = Math.max(1, ...items.map((item) => item.value))
  return (
    <ul className="flex flex-col gap-1.5" aria-label={label}>
      {items.map((item) => (
        <li key={item.name} className="grid grid-cols-[minmax(0,11rem)_1fr_3.5rem] items-center gap-2 text-sm">
          <span className="truncate" title={item.name}>
            {item.name}
          </span>
          <span className="h-2.5 rounded bg-sunken" aria-hidden>
            <span className="block h-full rounded bg-accent" style={{ width: `${(item.value / most) * 100}%` }} />
          </span>
          <span className="num text-right text-ink-2">{count(item.value)}</span>
        </li>
      ))}
    </ul>
  )
}
