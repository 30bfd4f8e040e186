import { createHash } from 'node:crypto'
import { readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { blobName } from '../../src/platform/blob-name.ts'
import { isReferencedBy, verifyBlobs } from '../../src/platform/blob-references.ts'
import { sweep } from '../../src/platform/blob-sweep.ts'
import { type Blobs, createBlobs, FRESH_MS } from '../../src/platform/blobs.ts'
import { Unavailable } from '../../src/platform/refusal.ts'
import type { SubjectKey } from '../../src/platform/vault.ts'
import { contentOf, inFolder, newKey, places } from '../support/blobs.ts'

const DAY_MS = 2 * FRESH_MS
const start = Date.UTC(2026, 0, 1)
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const nobody = async (contents: readonly unknown[]) => contents.map(() => false)
const everybody = async (contents: readonly unknown[]) => contents.map(() => true)
const counts = { seen: 0, referenced: 0, young: 0, removed: 0, copiesRemoved: 0, leftoversRemoved: 0 }

/** As much of the vault as is asked. @param keys null for a destroyed one */
const vaultOf = (keys: Map<string, Buffer | null>) => ({
  async keys(ids: Iterable<string>) {
    const found = new Map<string, Buffer | null>()
    for (const id of ids) {
      if (!keys.has(id)) throw new Unavailable(`The vault has no key ${id}.`)
      found.set(id, keys.get(id)!)
    }
    return found
  },
})

const isThere = async (blobs: Blobs, key: SubjectKey, text: string) =>
  contentOf(blobs, key, sha256(text)).then(
    (bytes) => bytes.toString() === text,
    () => false,
  )

for (const [where, place] of Object.entries(places)) {
  t.test(`sweeping ${where}`, async (t) => {
    t.test('what nobody refers to goes when it is a day old; what is referred to, or young, stays', async (t) => {
      const { store } = await place(t)
      let now = start
      const blobs = createBlobs(store, () => now)
      const key = newKey()
      for (const text of ['kept', 'left']) await blobs.put(key, Buffer.from(text))
      now += DAY_MS
      await blobs.put(key, Buffer.from('young'))
      const asked: string[] = []
      const isReferenced = async (contents: readonly { keyId: string; name: string }[]) => {
        asked.push(...contents.map(({ keyId, name }) => `${keyId}/${name}`))
        return contents.map(({ name }) => name === blobName(key.key, sha256('kept')))
      }
      t.same(
        await sweep({ blobs, isReferenced, now: new Date(now - 1) }),
        { ...counts, seen: 3, referenced: 1, young: 2 },
        'a moment too soon',
      )
      asked.length = 0
      t.same(await sweep({ blobs, isReferenced, now: new Date(now) }), { ...counts, seen: 3, referenced: 1, young: 1, removed: 1 })
      t.same(asked.sort(), ['kept', 'left', 'young'].map((text) => `${key.id}/${blobName(key.key, sha256(text))}`).sort())
      for (const [text, there] of Object.entries({ kept: true, left: false, young: true }))
        t.equal(await isThere(blobs, key, text), there, text)
    })

    t.test('of several copies the newest stays, the others go when they are old', async (t) => {
      const { store } = await place(t)
      let now = start
      const blobs = createBlobs(store, () => now)
      const key = newKey()
      for (const at of [0, DAY_MS, 2 * DAY_MS]) {
        now = start + at
        await blobs.put(key, Buffer.from('again'))
      }
      t.same(await sweep({ blobs, isReferenced: everybody, now: new Date(start + DAY_MS) }), {
        ...counts,
        seen: 1,
        referenced: 1,
        copiesRemoved: 1,
      })
      t.same(await sweep({ blobs, isReferenced: nobody, now: new Date(now) }), { ...counts, seen: 1, young: 1, copiesRemoved: 1 })
      t.ok(await isThere(blobs, key, 'again'))
      t.same(await sweep({ blobs, isReferenced: nobody, now: new Date(now + DAY_MS) }), { ...counts, seen: 1, removed: 1 })
      t.equal((await Array.fromAsync(blobs.list())).length, 0)
    })

    t.test('what is put again at any moment of a sweep survives it', async (t) => {
      const { store } = await place(t)
      const names = ['list', 'isReferenced', 'before remove', 'after remove'] as const
      for (const moment of names) {
        let now = start
        const key = newKey()
        const blobs = createBlobs(store, () => now)
        await blobs.put(key, Buffer.from(moment))
        now += DAY_MS
        const putAgain = async (at: string) => void (at === moment && (await blobs.put(key, Buffer.from(moment))))
        await sweep({
          now: new Date(now),
          blobs: {
            spool: blobs.spool,
            async *list() {
              const found = await Array.fromAsync(blobs.list())
              await putAgain('list')
              yield* found
            },
            async remove(blob) {
              await putAgain('before remove')
              await blobs.remove(blob)
              await putAgain('after remove')
            },
          },
          async isReferenced(contents) {
            await putAgain('isReferenced')
            return nobody(contents)
          },
        })
        t.ok(await isThere(blobs, key, moment), moment)
      }
    })

    t.test('puts, references and sweeps in any order lose nothing that is referred to in time', async (t) => {
      const texts = ['a', 'b', 'c']
      const step = fc.oneof(
        fc.record({ do: fc.constant('put' as const), text: fc.constantFrom(...texts) }),
        fc.record({ do: fc.constant('forget' as const), text: fc.constantFrom(...texts) }),
        fc.record({ do: fc.constant('wait' as const), hours: fc.integer({ min: 1, max: 30 }) }),
        fc.record({ do: fc.constant('sweep' as const) }),
      )
      const run = async (steps: { do: string; text?: string; hours?: number }[]) => {
        const { store } = await place(t)
        let now = start
        const key = newKey()
        const blobs = createBlobs(store, () => now)
        const referenced = new Set<string>()
        const isReferenced = isReferencedBy(
          async () => [...referenced].map((text) => ({ keyId: key.id, sha256: sha256(text) })),
          vaultOf(new Map([[key.id, key.key]])),
        )
        const running: Promise<unknown>[] = []
        for (const { do: what, text = '', hours = 0 } of steps) {
          if (what === 'put') {
            await blobs.put(key, Buffer.from(text))
            referenced.add(text)
          } else if (what === 'forget') referenced.delete(text)
          else if (what === 'wait') {
            // A sweep may take long, but not longer than there is time to refer to something.
            await Promise.all(running.splice(0))
            now += hours * 3_600_000
          } else running.push(sweep({ blobs, isReferenced, now: new Date(now) }))
        }
        await Promise.all(running)
        for (const text of referenced) t.ok(await isThere(blobs, key, text), text)
        store.close()
      }
      await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), run), { numRuns: where === 'a folder' ? 60 : 15 })
    })

    t.test('what cannot be asked about is not removed', async (t) => {
      const { store } = await place(t)
      const blobs = createBlobs(store, () => start)
      await blobs.put(newKey(), Buffer.from('x'))
      const now = new Date(start + 10 * DAY_MS)
      const away = async () => {
        throw new Unavailable('The database is away.')
      }
      await t.rejects(sweep({ blobs, isReferenced: away, now }), Unavailable)
      await t.rejects(sweep({ blobs, isReferenced: async () => [], now }), /one answer for each/)
      await t.rejects(sweep({ blobs, isReferenced: nobody, now, olderThanMs: DAY_MS - 1 }), RangeError)
      await t.rejects(
        sweep({ blobs, isReferenced: isReferencedBy(async () => [], vaultOf(new Map())), now }),
        Unavailable,
        'a key that nobody knows',
      )
      t.equal((await Array.fromAsync(blobs.list())).length, 1)
    })

    t.test('what a destroyed key sealed is referred to no more', async (t) => {
      const { store } = await place(t)
      const blobs = createBlobs(store, () => start)
      const [erased, kept] = [newKey(), newKey()]
      for (const key of [erased, kept]) await blobs.put(key, Buffer.from('text'))
      const vault = vaultOf(
        new Map([
          [erased.id, null],
          [kept.id, kept.key],
        ]),
      )
      const isReferenced = isReferencedBy(async (ids) => ids.map((keyId) => ({ keyId, sha256: sha256('text') })), vault)
      t.same(await sweep({ blobs, isReferenced, now: new Date(start + DAY_MS) }), { ...counts, seen: 2, referenced: 1, removed: 1 })
      t.ok(await isThere(blobs, kept, 'text'))
    })

    t.test('a verification reads all, and names what is missing or damaged', async (t) => {
      const { store, files, overwrite } = await place(t)
      const blobs = createBlobs(store)
      const keys = Array.from({ length: 4 }, newKey) as [SubjectKey, SubjectKey, SubjectKey, SubjectKey]
      const [good, damaged, lost, erased] = keys
      for (const key of keys) await blobs.put(key, Buffer.from('text'))
      for (const [name, bytes] of await files()) {
        if (name.startsWith(damaged.id)) await overwrite(name, Buffer.from(bytes).fill(0, bytes.length - 4))
      }
      for await (const blob of blobs.list(lost.id)) await blobs.remove(blob)
      const vault = vaultOf(new Map(keys.map(({ id, key }) => [id, id === erased.id ? null : key])))
      async function* referenced() {
        for (const { id } of keys) yield { keyId: id, sha256: sha256('text') }
      }
      const found = await verifyBlobs(blobs, vault, referenced())
      t.match(found, {
        checked: 3,
        sizeBytes: 4,
        erased: 1,
        missing: [{ keyId: lost.id, sha256: sha256('text') }],
        damaged: [{ keyId: damaged.id, sha256: sha256('text'), reason: /from byte 0 on/ }],
      })
      t.ok(await isThere(blobs, good, 'text'))
    })
  })
}

t.test('what was being put when a process was killed goes when it is a day old', async (t) => {
  const { store } = await inFolder(t)
  const blobs = createBlobs(store)
  await blobs.put(newKey(), Buffer.from('x'))
  for (const name of ['old', 'new']) await writeFile(join(store.spool, name), 'half')
  const yesterday = new Date(Date.now() - DAY_MS - 1000)
  await utimes(join(store.spool, 'old'), yesterday, yesterday)
  const { leftoversRemoved } = await sweep({ blobs, isReferenced: everybody, now: new Date() })
  t.equal(leftoversRemoved, 1)
  t.same(await readdir(store.spool), ['new'])
})
