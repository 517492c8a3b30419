/** Curves that can be read: an exponential moving average without its bias, and fewer points. */

interface Point {
  x: number
  y: number
}

/** A weight of 0 leaves the curve as it is; near 1 it follows slowly. */
export function smooth(points: Point[], weight: number): Point[] {
  let sum = 0
  let norm = 0
  return points.map(({ x, y }) => {
    if (!Number.isFinite(y)) return { x, y }
    sum = weight * sum + (1 - weight) * y
    norm = weight * norm + (1 - weight)
    return { x, y: sum / norm }
  })
}

/** At most `most` points, evenly taken, the first and the last always among them. */
export function thin(points: Point[], most: number): Point[] {
  if (points.length <= most) return points
  const step = (points.length - 1) / (most - 1)
  return Array.from({ length: most }, (_, i) => points[Math.round(i * step)]).filter((p) => p !== undefined)
}
