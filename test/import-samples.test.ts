import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { adminKey, testApi } from './support/api.ts'
import { startNode } from './support/processes.ts'
import { main, ownEnvironment } from './support/whole.ts'

/* Real files of other programs, through the command and the whole service. */
const samples = join(import.meta.dirname, '../../shared/data/contacts')
const isThere = existsSync(samples)

t.test(
  'the sample contacts go in, every one accounted for, and once',
  { skip: isThere ? false : '../shared/data/contacts is not here' },
  async (t) => {
    t.setTimeout(120_000)
    const api = await testApi(t)
    const cards = readdirSync(samples).filter((name) => name.endsWith('.vcf'))
    const files = ['contacts.csv', ...cards].map((name) => join(samples, name))
    const run = async () => {
      const command = startNode(t, [main, 'import', '--json', ...files], {
        env: { ...ownEnvironment, SMARTCRM_URL: api.url, SMARTCRM_KEY: adminKey },
      })
      t.equal(await command.ended, 0, command.lines.join('\n'))
      return JSON.parse(command.lines.filter((line) => !line.startsWith('npm ')).join('\n'))
    }
    const first = await run()
    t.match(first.files[0].counts, { created: 500, updated: 0, unchanged: 0, failed: 0 })
    t.equal(first.files.length, files.length)
    for (const { counts, rows } of first.files) t.equal(counts.created + counts.updated + counts.unchanged, rows, 'every row went in')
    const { created } = first.total
    t.equal((await stored()).size, created, 'what was created can be read when the command returns')
    const again = await run()
    t.match(again.total, { created: 0, updated: 0, failed: 0 })
    t.equal((await stored()).size, created)

    async function stored() {
      const ids = new Set<string>()
      for (let cursor = ''; ; ) {
        const { body } = await api.ask('GET', `/v1/contacts?limit=200${cursor}`)
        for (const { id } of body.data) ids.add(id)
        if (body.nextCursor === null) return ids
        cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`
      }
    }
  },
)
