import { openAsBlob } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { emails } from '../../../projections/emails.ts'
import type { Import } from '../../../schema/import.ts'
import { openPool, sql } from '../../../src/platform/database.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { finished, get, results, upload } from '../imports.ts'
import { madeUpMail, madeUpMbox, OWN_ADDRESS } from '../made-up-mail.ts'
import { peakMebibytes } from '../memory.ts'
import { until } from '../processes.ts'
import { type Crashing, key } from './service.ts'

/*
 * An import whose worker is killed again and again: it ends as one that nobody disturbed. What comes after a kill is a new worker, which takes the job
 * over when the old one has been silent for so long. That this is noticed, jobs-killed.test.ts shows; here the dead worker's last sign is made older.
 * `IMPORT_MAILS=10000 IMPORT_KILLS=10` is the long form.
 */
const MAILS = Number(process.env['IMPORT_MAILS'] ?? 240)
const KILLS = Number(process.env['IMPORT_KILLS'] ?? 2)
/** Of each process, however large the file is. */
const MOST_MEGABYTES = 400
const ROLES = ['api', 'eventstore', 'projector', 'worker']
/** What the import may take in all: a mail is never near this, and each kill costs the time until another worker takes the job over. */
export const PATIENCE_MS = 180_000 + MAILS * 20

export async function mailImportCrash(t: Test, { folder, whole }: Crashing): Promise<void> {
  const service = { url: whole.url, key }
  const pool = openPool(await whole.database(), createLogger('silent', 'test'))
  t.teardown(() => pool.close())
  const stored = async () => (await pool.rows<{ count: number }>(sql.unsafe`select count(*) from ${emails.tables.emails.sql}`))[0]!.count
  const peaks = new Map(ROLES.map((role) => [role, 0]))
  const weigh = async () => {
    for (const [role, before] of peaks) peaks.set(role, Math.max(before, (await peakMebibytes(whole.pids(role).at(-1)!)) ?? 0))
  }
  const mbox = join(folder, 'mails.mbox')
  await writeFile(mbox, madeUpMbox(MAILS, 3))
  const { body } = await upload(service, await openAsBlob(mbox), [OWN_ADDRESS])
  const began = Date.now()
  const done = async () => (await get<Import>(service, `/v1/imports/${body.id}`)).body.done ?? 0
  // The first not before something is recorded from which the next one goes on, the others at any moment: also with nothing recorded since.
  await within('something recorded', async () => (await done()) > 0)
  for (let kills = 1; kills <= KILLS; kills += 1) {
    const before = await stored()
    const share = (0.2 + 0.8 * Math.random()) / (KILLS - kills + 1.5)
    const at = kills === 1 ? before : before + (MAILS - before) * share
    await within(`${at} mails`, async () => (await stored()) >= at)
    const pid = whole.pids('worker').at(-1)!
    await weigh()
    process.kill(pid, 'SIGKILL')
    t.comment(`killed with ${await stored()} stored, ${await done()} recorded`)
    await pool.rows(sql.unsafe`
      update pgboss.job set heartbeat_on = heartbeat_on - interval '1 minute' where name = 'import' and state = 'active'`)
    await pool.rows(sql.unsafe`update pgboss.queue set monitor_claim_on = null, monitor_on = null`)
    await until('another worker', () => whole.pids('worker').at(-1) !== pid)
  }
  const shown = await finished(service, body.id, PATIENCE_MS / 1_000)
  await weigh()
  const told = [...peaks].map(([role, megabytes]) => `${role} ${Math.round(megabytes)} MB`).join(', ')
  t.comment(`${MAILS} mails with ${KILLS} kills in ${Math.round((Date.now() - began) / 1_000)} s; the most memory of each: ${told}`)
  for (const [role, megabytes] of peaks) t.ok(megabytes < MOST_MEGABYTES, `${role} took ${Math.round(megabytes)} MB at most`)
  t.strictSame(shown.counts, { stored: MAILS, known: 0, created: 0, updated: 0, unchanged: 0, failed: 0 })
  const all = await results(service, body.id)
  t.equal(all.length, MAILS, 'each has its outcome, once')
  t.notOk(
    all.find(({ index }, place) => index !== place),
    'in the order of the file',
  )
  t.equal(new Set(all.map(({ emailId }) => emailId)).size, MAILS)

  type Page = { data: { type: string; stream: string }[]; nextAfter: string; more: boolean }
  const recorded: string[] = []
  for (let after = '', more = true; more; ) {
    const page: Page = (await get<Page>(service, `/v1/events?limit=1000${after}`)).body
    recorded.push(...page.data.filter(({ type }) => type === 'EmailReceived' || type === 'EmailSent').map(({ stream }) => stream))
    after = `&after=${page.nextAfter}`
    more = page.more
  }
  t.equal(recorded.length, MAILS, 'an event for each mail')
  t.equal(new Set(recorded).size, MAILS)
  for (const { index, emailId } of all.filter(({ index }) => index % 50 === 0)) {
    const response = await fetch(`${service.url}/v1/emails/${emailId}/raw`, { headers: { authorization: `Bearer ${key}` } })
    t.ok(Buffer.from(await response.arrayBuffer()).equals(madeUpMail(index, 3).raw), `mail ${index} is there with its bytes`)
  }
}

/** Waits for what a large import may take long to come to. */
const within = (what: string, look: () => Promise<boolean>) => until(what, look, PATIENCE_MS / 1000)
