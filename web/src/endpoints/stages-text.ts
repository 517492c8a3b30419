/** The stages of a rollout, as a person types them. */
export function readStages(text: string): { stages: number[]; problem?: undefined } | { stages?: undefined; problem: string } {
  const parts = text.split(/[\s,;]+/).filter(Boolean)
  if (parts.length === 0) return { problem: 'Name at least one share.' }
  const stages = parts.map((part) => Number(part.replace(/%$/, '')))
  if (stages.some((s) => !Number.isInteger(s) || s < 1 || s > 100)) return { problem: 'Shares are whole numbers from 1 to 100.' }
  if (stages.some((s, i) => i > 0 && s <= (stages[i - 1] ?? 0))) return { problem: 'Each share must be larger than the one before.' }
  return { stages }
}
