/** Numbers as people read them. Everything takes null and shows a dash for it. */

const NONE = '–'

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const compactForm = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 })

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : grouped.format(value)
}

export function compact(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE
  return value < 10_000 ? grouped.format(value) : compactForm.format(value)
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE
  if (value < 1) return '<1 ms'
  if (value < 10) return `${value.toFixed(1)} ms`
  if (value < 1000) return `${Math.round(value)} ms`
  return seconds(value / 1000)
}

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`
  const whole = Math.round(value)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

export function percent(share: number | null | undefined, digits = 1): string {
  return share === null || share === undefined ? NONE : `${(share * 100).toFixed(digits)}%`
}

/** A difference of shares in percentage points, with its sign. */
export function points(difference: number, digits = 1): string {
  const value = (difference * 100).toFixed(digits)
  return `${difference >= 0 ? '+' : '−'}${value.replace('-', '')} pts`
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let rest = value
  let unit = 0
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000
    unit += 1
  }
  return `${unit === 0 ? rest : rest.toFixed(rest < 10 ? 1 : 0)} ${units[unit]}`
}

/** Costs come in billionths of a dollar. */
export function cost(nanousd: number | null | undefined): string {
  if (nanousd === null || nanousd === undefined) return NONE
  const dollars = nanousd / 1e9
  if (dollars === 0) return '$0'
  return dollars < 0.01 ? `$${dollars.toPrecision(2)}` : `$${dollars.toFixed(2)}`
}

export function significance(p: number): string {
  if (p === 0 || p < 1e-12) return 'p < 1e-12'
  if (p < 0.001) return `p = ${p.toExponential(1)}`
  return `p = ${p.toFixed(3)}`
}

export function short(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 0.001 || size >= 1e6) return value.toExponential(1)
  if (size < 0.1) return value.toPrecision(2)
  return size < 100 ? value.toFixed(size < 10 ? 3 : 1) : grouped.format(value)
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${grouped.format(n)} ${n === 1 ? one : many}`
}
