import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Import } from '../schema/import.ts'
import { finished, get, results, upload } from './support/imports.ts'
import { madeUpMail, madeUpMbox, OWN_ADDRESS } from './support/made-up-mail.ts'
import { until } from './support/processes.ts'
import { startWhole } from './support/whole.ts'

/*
 * An import whose worker is killed again and again: it ends as one that nobody disturbed. What comes after a kill is a new worker, which takes the job
 * over when the old one has been silent for so long.
 */
const MAILS = Number(process.env['IMPORT_MAILS'] ?? 1_500)
const KILLS = Number(process.env['IMPORT_KILLS'] ?? 3)
/** What the import may take in all: a mail is never near this, and each kill costs the time until another worker takes the job over. */
const PATIENCE_MS = 180_000 + MAILS * 10
const key = 'a-key-for-tests-0123456789'
const folder = await mkdtemp(join(tmpdir(), 'smartcrm-mail-crash-'))
await chmod(folder, 0o755)
t.setTimeout(2 * PATIENCE_MS)
t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

t.test('an import survives kill -9 of its worker, and nothing is lost or there twice', async (t) => {
  const whole = await startWhole(t, folder, { SMARTCRM_ADMIN_KEY: key })
  const service = { url: whole.url, key }
  const { body } = await upload(service, Buffer.concat([...madeUpMbox(MAILS, 3)]), [OWN_ADDRESS])
  const done = async () => (await get<Import>(service, `/v1/imports/${body.id}`)).body.done ?? 0
  for (let kills = 0; kills < KILLS; kills += 1) {
    const before = await done()
    await until('the import to go on', async () => (await done()) > before)
    // At any moment: also in the middle of a batch that is not recorded yet.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.max(1_500, MAILS)))
    const pid = whole.pids('worker').at(-1)!
    process.kill(pid, 'SIGKILL')
    await until('another worker', () => whole.pids('worker').at(-1) !== pid)
    t.comment(`killed at ${await done()}`)
  }
  const shown = await finished(service, body.id, PATIENCE_MS)
  t.strictSame(shown.counts, { stored: MAILS, known: 0, created: 0, updated: 0, unchanged: 0, failed: 0 })
  const all = await results(service, body.id)
  t.strictSame(
    all.map(({ index }) => index),
    Array.from({ length: MAILS }, (_, index) => index),
    'each has its outcome, once',
  )
  t.equal(new Set(all.map(({ emailId }) => emailId)).size, MAILS)

  type Page = { data: { type: string; stream: string }[]; nextAfter: string; more: boolean }
  const stored: string[] = []
  for (let after = '', more = true; more; ) {
    const page: Page = (await get<Page>(service, `/v1/events?limit=1000${after}`)).body
    stored.push(...page.data.filter(({ type }) => type === 'EmailReceived' || type === 'EmailSent').map(({ stream }) => stream))
    after = `&after=${page.nextAfter}`
    more = page.more
  }
  t.equal(stored.length, MAILS, 'an event for each mail')
  t.equal(new Set(stored).size, MAILS)
  for (const { index, emailId } of all.filter(({ index }) => index % 50 === 0)) {
    const response = await fetch(`${service.url}/v1/emails/${emailId}/raw`, { headers: { authorization: `Bearer ${key}` } })
    t.ok(Buffer.from(await response.arrayBuffer()).equals(madeUpMail(index, 3).raw), `mail ${index} is there with its bytes`)
  }
})
