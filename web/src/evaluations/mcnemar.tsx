/** The two-by-two table of a paired comparison. */
import type { Comparison } from '../api/types'
import { count, significance } from '../format/number'

export function McNemar({ c }: { c: Comparison }) {
  const { only_baseline: lost, only_candidate: won, p_value: p } = c.mcnemar
  const bothRight = Math.max(0, Math.round(c.candidate.exact_match.value * c.n_paired) - won)
  const bothWrong = Math.max(0, c.n_paired - bothRight - won - lost)
  return (
    <div className="flex flex-col gap-3 text-sm">
      <table className="num w-full border-separate border-spacing-1.5 text-center">
        <thead>
          <tr className="text-xs text-ink-3">
            <td />
            <th scope="col" className="font-medium">
              baseline right
            </th>
            <th scope="col" className="font-medium">
              baseline wrong
            </th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row" className="text-left text-xs font-medium text-ink-3">
              candidate right
            </th>
            <td className="rounded-lg bg-sunken py-3">{count(bothRight)}</td>
            <td className="rounded-lg bg-good-soft py-3 text-lg font-semibold text-good">{count(won)}</td>
          </tr>
          <tr>
            <th scope="row" className="text-left text-xs font-medium text-ink-3">
              candidate wrong
            </th>
            <td className="rounded-lg bg-bad-soft py-3 text-lg font-semibold text-bad">{count(lost)}</td>
            <td className="rounded-lg bg-sunken py-3">{count(bothWrong)}</td>
          </tr>
        </tbody>
      </table>
      <p className="text-ink-2">
        The candidate won {count(won)} items and lost {count(lost)}. If both were equally good, a split this uneven or more would come about
        with <strong className="num text-ink">{significance(p)}</strong>.
      </p>
    </div>
  )
}
