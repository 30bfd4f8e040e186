import { Parser, type Result } from 'tap-parser'

/** @property failures names of what failed, from the file inwards */
export type TestCounts = { passed: number; failed: number; skipped: number; failures: string[] }

/** A test point, with the points inside it if it is a subtest. */
type Point = Pick<Result, 'ok' | 'name' | 'skip' | 'todo'> & { inside?: Point[] }

/**
 * Counts the tests in the TAP that a run of tap wrote. A test is a `t.test(…)` without others in it, however many assertions it makes. An
 * assertion beside such tests counts only when it fails, and so does a file that failed for no test's sake (it ran too long, say).
 * What is marked as still to do counts as skipped.
 */
export function countTests(tap: string): TestCounts {
  const counts: TestCounts = { passed: 0, failed: 0, skipped: 0, failures: [] }
  const parser = new Parser()
  const files = points(parser)
  parser.on('bailout', (reason: string) => files.push({ ok: false, name: `bail out: ${reason}`, skip: false, todo: false, inside: [] }))
  parser.end(tap)
  for (const file of files) count(file, [], counts)
  return counts
}

function points(parser: Parser): Point[] {
  const seen: Point[] = []
  let inside: Point[] | undefined
  // A subtest comes before the point that sums it up.
  parser.on('child', (child: Parser) => (inside = points(child)))
  parser.on('assert', (result: Result) => {
    seen.push({ ...result, ...(inside && { inside }) })
    inside = undefined
  })
  return seen
}

function count(point: Point, path: string[], counts: TestCounts): void {
  const { ok, name, skip, todo, inside } = point
  const failedBefore = counts.failed
  const isTest = inside && !inside.some((point) => point.inside)
  if (skip || todo) counts.skipped++
  else if (inside && !isTest) for (const point of inside) count(point, [...path, name], counts)
  else if (isTest && ok) counts.passed++
  if (skip || todo || ok || counts.failed > failedBefore) return
  counts.failed++
  counts.failures.push([...path, name].join(' > '))
}
