import { openAsBlob, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Import } from '../../schema/import.ts'
import { get } from '../support/imports.ts'
import { madeUpMbox, OWN_ADDRESS } from '../support/made-up-mail.ts'
import { peakMebibytes } from '../support/memory.ts'
import { startWhole } from '../support/whole.ts'

/*
 * An mbox of so many made-up mails (15,000 unless told) through the HTTP endpoint and real processes, until its last mail can be read. Tells mails a
 * second, and of each process its processor time a mail and the most memory it took. Linux only.
 */
const count = Number(process.argv[2] ?? 15_000)
const key = 'a-key-for-benches-0123456789'
const folder = await mkdtemp(join(tmpdir(), 'smartcrm-bench-'))
await chmod(folder, 0o755)
const teardowns: (() => unknown)[] = []
const t = { teardown: (clear: () => unknown) => void teardowns.unshift(clear) }

const LOOP = 'of it, the worker’s main thread'
type Use = { userSeconds: number; systemSeconds: number; peakMegabytes: number }
const read = (path: string) => readFile(path, 'utf8').catch(() => '')

/** What `stat` of a process or of one of its threads says from its third field on. */
const fieldsOf = async (path: string) =>
  (await read(`${path}/stat`))
    .replace(/^.*\) /, '')
    .split(' ')
    .map(Number)

async function useOf(pid: number) {
  const fields = await fieldsOf(`/proc/${pid}`)
  const seconds = (place: number) => (fields[place] ?? 0) / 100
  // Of children that have ended, too: Postgres's sessions.
  const used = {
    userSeconds: seconds(11) + seconds(13),
    systemSeconds: seconds(12) + seconds(14),
    peakMegabytes: (await peakMebibytes(pid)) ?? 0,
  }
  return { ...used, parent: fields[1] }
}

/** Of the thread that runs the event loop: it is one, however many cores there are. */
async function useOfLoop(pid: number): Promise<Use> {
  const fields = await fieldsOf(`/proc/${pid}/task/${pid}`)
  return { userSeconds: (fields[11] ?? 0) / 100, systemSeconds: (fields[12] ?? 0) / 100, peakMegabytes: 0 }
}

/** Postgres is many processes: what they use together, and the most memory of one of them. */
async function useOfPostgres(postmaster: number): Promise<Use> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const all = await Promise.all(pids.map(async (pid) => ({ pid, ...(await useOf(pid)) })))
  const family = all.filter(({ pid, parent }) => pid === postmaster || parent === postmaster)
  const sum = (name: keyof Use) => family.reduce((total, use) => total + use[name], 0)
  const peakMegabytes = Math.max(...family.map((use) => use.peakMegabytes))
  return { userSeconds: sum('userSeconds'), systemSeconds: sum('systemSeconds'), peakMegabytes }
}

try {
  const mbox = join(folder, 'mails.mbox')
  const file = await open(mbox, 'w')
  let sizeBytes = 0
  for (const piece of madeUpMbox(count)) sizeBytes += (await file.write(piece)).bytesWritten
  await file.close()
  console.log(`${count} mails, ${Math.round(sizeBytes / 2 ** 20)} MiB`)

  const service = await startWhole(t as never, folder, { SMARTCRM_ADMIN_KEY: key, LOG_LEVEL: 'info' })
  const at = { url: service.url, key }
  const postmaster = await service.postmaster()
  const roles = ['worker', 'projector', 'eventstore', 'api']
  const pidOf = (role: string) => service.pids(role).at(-1)!
  const uses = () => Promise.all([...roles.map((role) => useOf(pidOf(role))), useOfPostgres(postmaster), useOfLoop(pidOf('worker'))])
  const before = await uses()

  const began = performance.now()
  const sinceBegan = () => (performance.now() - began) / 1000
  const form = new FormData()
  form.append('me', OWN_ADDRESS)
  form.append('file', await openAsBlob(mbox), 'mails.mbox')
  const answer = await fetch(`${service.url}/v1/imports`, { method: 'POST', body: form, headers: { authorization: `Bearer ${key}` } })
  if (answer.status !== 202) throw new Error(`answered ${answer.status}: ${await answer.text()}`)
  const { id } = (await answer.json()) as { id: string }
  console.log(`uploaded in ${sinceBegan().toFixed(1)} s`)

  let shown: Import | null = null
  let half: { done: number; seconds: number } | null = null
  for (let told = sinceBegan(); shown?.state !== 'finished'; await delay(250)) {
    const { status, body } = await get<Import>(at, `/v1/imports/${id}`)
    if (status !== 200) continue
    shown = body
    if (!half && shown.done >= count / 2) half = { done: shown.done, seconds: sinceBegan() }
    if (sinceBegan() - told < 10) continue
    told = sinceBegan()
    console.log(`${shown.done} readable after ${told.toFixed(0)} s: ${Math.round(shown.done / told)}/s`)
  }
  const seconds = sinceBegan()
  const after = await uses()
  if (shown.counts.stored !== count) throw new Error(`not all were stored: ${JSON.stringify(shown.counts)}`)

  const rows = [...roles, 'postgres', LOOP].map((process, index) => {
    const spent = (name: keyof Use) => Number((((after[index]![name] - before[index]![name]) / count) * 1000).toFixed(2))
    const [userMs, systemMs] = [spent('userSeconds'), spent('systemSeconds')]
    return {
      process,
      'ms of processor a mail': Number((userMs + systemMs).toFixed(2)),
      userMs,
      systemMs,
      'peak MB': Math.round(after[index]!.peakMegabytes),
    }
  })
  const total = rows.reduce((sum, row) => sum + (row.process === LOOP ? 0 : row['ms of processor a mail']), 0)
  const secondHalf = half && seconds > half.seconds ? Math.round((count - half.done) / (seconds - half.seconds)) : null
  console.table(Object.fromEntries(rows.map(({ process, ...columns }) => [process, columns])))
  console.log(
    `${count} mails in ${seconds.toFixed(1)} s, from the upload's first byte until all can be read: ${Math.round(count / seconds)} mails/s ` +
      `(${secondHalf}/s in the second half), ${total.toFixed(2)} ms of processor time a mail`,
  )
  const about = { bench: 'import-mail', at: new Date().toISOString(), node: process.version, cores: availableParallelism(), mails: count }
  const measured = { seconds, mailsPerSecond: count / seconds, secondHalfPerSecond: secondHalf, processorMsPerMail: total, rows }
  if (process.env['BENCH_OUT']) writeFileSync(process.env['BENCH_OUT'], `${JSON.stringify({ ...about, ...measured }, null, 2)}\n`)
} finally {
  for (const clear of teardowns) await clear()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
