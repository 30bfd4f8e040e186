import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { jobTypes } from '../../src/jobs/index.ts'
import { reactors } from '../../src/reactors/index.ts'

const root = join(import.meta.dirname, '../..')

/** What the files of src export that is made by a call of `maker`. */
async function exportedBy(maker: RegExp): Promise<[string, unknown][]> {
  const found: [string, unknown][] = []
  for (const file of globSync('src/**/*.ts', { cwd: root }).filter((file) => !file.startsWith('src/platform/'))) {
    const names = [...(await readFile(join(root, file), 'utf8')).matchAll(maker)].map(([, name]) => name!)
    if (names.length === 0) continue
    const module = await import(join(root, file))
    for (const name of names) found.push([`${name} of ${file}`, module[name]])
  }
  return found
}

t.test('every kind of job is in the list, in a queue of its own', async (t) => {
  for (const [name, type] of await exportedBy(/export const (\w+)\s*=\s*defineJob\b/g)) t.ok(jobTypes.includes(type as never), name)
  t.equal(new Set(jobTypes.map(({ queue }) => queue)).size, jobTypes.length)
  t.ok(jobTypes.every(({ queue }) => /^[a-z]+(-[a-z]+)*$/.test(queue)))
})

t.test('every reactor is in the list, under a name of its own', async (t) => {
  for (const [name, reactor] of await exportedBy(/export const (\w+)\s*=\s*reactor\b/g)) t.ok(reactors.includes(reactor as never), name)
  t.equal(new Set(reactors.map(({ name }) => name)).size, reactors.length)
})
