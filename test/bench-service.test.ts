import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { costTable } from './bench/service/rows.ts'
import { measure, sizes } from './bench/service.ts'

/** Each row checks by itself that what was written is there, and throws where it is not. */
t.setTimeout(300_000)
t.test('the bench of the service measures every row', async (t) => {
  const cache = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  t.teardown(() => rm(cache, { recursive: true, force: true, maxRetries: 5 }))
  // Postgres, as a user of its own, has to get there.
  await chmod(cache, 0o755)
  const small = { contacts: 40, seconds: 0.2, rounds: 1, callers: 4, appends: 40, events: 200, rebuilds: 1, cache }
  const rows = await measure({ ...sizes, ...small })
  t.strictSame(
    rows.map(({ row }) => row),
    ['a', 'b', 'b', 'b', 'c', 'd', 'd', 'd', 'g', 'g', 'f', 'f', '', 'e'],
  )
  const costs = costTable(rows, 2)
  t.equal(Object.keys(costs).length, 14, 'both sides of five rows, and (d) and (e)')
  for (const line of Object.values(costs)) t.match(line, { 'µs each': Number, of: /^\w+ -?\d+, /, 'at most': /\/s$/ })
  for (const { what, smartcrm, peer, ratio } of rows) {
    t.match(smartcrm, /[1-9]/, `${what}: ${smartcrm}`)
    if (ratio !== null) t.ok(ratio > 0 && Number.isFinite(ratio) && /[1-9]/.test(peer), `${what}: ${peer}`)
  }
})
