/** A vault that is restored to an older state. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openPool, sql } from '../../../src/platform/database.ts'
import { openErasureList } from '../../../src/platform/erasure/list.ts'
import { type Erased, reapplyErasures } from '../../../src/platform/erasure/reapply.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { givenMasterKey } from '../../../src/platform/master-key.ts'
import { openVault } from '../../../src/platform/vault.ts'
import { testDatabase } from '../../support/postgres.ts'

const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
const pool = openPool((await testDatabase(t)).url, createLogger('silent', 'test'))
t.teardown(async () => {
  await pool.close()
  await rm(folder, { recursive: true })
})
const master = givenMasterKey(randomBytes(32))

t.test('keys and records that came back with a backup go again, and only those', async (t) => {
  const vault = await openVault(pool, master)
  const list = openErasureList(join(folder, 'erasures.jsonl'))
  const [a, b, other] = [await vault.claim(), await vault.claim(), await vault.claim()]
  const at = '2026-03-01T09:30:00.000Z'
  const [first, second] = [randomUUID(), randomUUID()]
  await list.append({ erasureId: first, subjectId: 'one', keyIds: [a.id], streams: [], suppressed: ['x', 'y'], at })
  await list.append({ erasureId: second, subjectId: 'two', keyIds: [randomUUID()], streams: [], suppressed: [], at })
  await list.append({ erasureId: first, subjectId: 'one', keyIds: [b.id], streams: ['mail-1'], suppressed: [], at })
  await list.append({ lifted: ['y'], at })

  const recorded = new Map<string, Erased>()
  const asked: string[] = []
  const erasing = {
    async isRecorded({ erasureId }: Erased) {
      asked.push(erasureId)
      return recorded.has(erasureId)
    },
    async record(erased: Erased) {
      const { there } = (
        await pool.rows<{ there: boolean }>(sql.unsafe`
        select bool_and(wrapped is not null) as there from vault.keys where id = any(${sql.array([...erased.keyIds], 'uuid')})`)
      )[0]!
      t.not(there, false, 'the log is told while the keys are there')
      recorded.set(erased.erasureId, erased)
    },
    destroy: async (ids: readonly string[]) => void (await vault.destroy(ids)),
  }
  const reapply = (options = {}) => reapplyErasures({ list, db: pool, erasing }, options)

  t.strictSame(await reapply({ byKeysAlone: true }), { listed: 2, again: [first], keys: 2, damaged: [] })
  t.strictSame(asked, [], 'without asking the log')
  t.strictSame(recorded.get(first), { erasureId: first, subjectId: 'one', keyIds: [a.id, b.id], streams: ['mail-1'], suppressed: ['x'] })
  t.match(await reapply(), { again: [second], keys: 0 }, 'the log lacks what has no key any more')
  t.match(await reapply(), { again: [], keys: 0 }, 'again changes nothing')
  const found = await (await openVault(pool, master)).keys([a.id, b.id, other.id])
  t.strictSame([found.get(a.id), found.get(b.id)], [null, null])
  t.ok(found.get(other.id)?.equals(other.key))
})
