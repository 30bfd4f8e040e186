import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ErasedEntry, openErasureList } from '../../../src/platform/erasure/list.ts'
import { Fault } from '../../../src/platform/fault.ts'

const entry = (erasureId: string, more: Partial<ErasedEntry> = {}): ErasedEntry => ({
  erasureId,
  subjectId: 'subject',
  keyIds: ['key'],
  streams: [],
  suppressed: [],
  at: '2026-03-01T09:30:00.000Z',
  ...more,
})

async function freshFile(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-test-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return join(folder, 'apart', 'erasures.jsonl')
}

t.test('it gives what was appended, by however many at once, in a file for its owner alone', async (t) => {
  const file = await freshFile(t)
  t.strictSame(await openErasureList(file).read(), { entries: [], damaged: [] })
  await openErasureList(file).append(entry('first'))
  t.equal((await stat(file)).mode & 0o777, 0o600)
  await Promise.all(Array.from({ length: 20 }, (_, n) => openErasureList(file).append(entry(`one of twenty ${n}`))))
  const { entries, damaged } = await openErasureList(file).read()
  t.strictSame(entries[0], entry('first'))
  t.equal(new Set(entries.map((each) => (each as ErasedEntry).erasureId)).size, 21)
  t.strictSame(damaged, [])
})

t.test('a torn last line is passed over, and what is appended after it is not lost', async (t) => {
  const file = await freshFile(t)
  const list = openErasureList(file)
  await list.append(entry('whole'))
  const line = await readFile(file, 'utf8')
  for (const length of [1, 20, line.length - 2]) {
    await writeFile(file, line + line.slice(0, length))
    t.strictSame((await list.read()).entries, [entry('whole')])
    await list.append(entry('after it'))
    const { entries, damaged } = await list.read()
    t.strictSame(entries, [entry('whole'), entry('after it')])
    t.strictSame(damaged, [2])
  }
})

t.test('a line that was changed is none, and is named', async (t) => {
  const file = await freshFile(t)
  const list = openErasureList(file)
  await list.append(entry('a'))
  await list.append(entry('b'))
  await writeFile(file, (await readFile(file, 'utf8')).replace('"key"', '"kex"'))
  t.strictSame(await list.read(), { entries: [entry('b')], damaged: [1] })
})

t.test('a file that cannot be read or written is said', async (t) => {
  const file = await freshFile(t)
  await openErasureList(file).append(entry('a'))
  const below = openErasureList(join(file, 'below'))
  await t.rejects(below.append(entry('a')), Fault)
  await t.rejects(below.read(), Fault)
})
