import { spawn } from 'node:child_process'
import { chmod, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Import } from '../../schema/import.ts'
import { get } from '../support/imports.ts'
import { madeUpMbox, OWN_ADDRESS } from '../support/made-up-mail.ts'
import { startWhole } from '../support/whole.ts'

/*
 * `node test/bench/import-mail.ts [mails]`: an mbox of made-up mails through the HTTP endpoint and real processes, until its last mail can be
 * read. Tells mails a second, and of each process its largest resident memory and its processor time.
 */
const count = Number(process.argv[2] ?? 20_000)
const key = 'a-key-for-benches-0123456789'
const folder = await mkdtemp(join(tmpdir(), 'smartcrm-bench-'))
await chmod(folder, 0o755)
const teardowns: (() => unknown)[] = []
const t = { teardown: (clear: () => unknown) => void teardowns.unshift(clear) }

type Process = { role: string; pid: number }
const status = async (pid: number) => {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const ticks = (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')).replace(/^.*\) /, '').split(' ')
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { peakMegabytes: kilobytes('VmHWM') / 1024, cpuSeconds: (Number(ticks[11] ?? 0) + Number(ticks[12] ?? 0)) / 100 }
}
/** What Postgres uses, all of its processes together. */
const postgresSeconds = async (postmaster: number) => {
  let seconds = 0
  for (const name of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = (await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')).replace(/^.*\) /, '').split(' ')
    if (Number(stat[1]) === postmaster || Number(name) === postmaster)
      seconds += (Number(stat[11]) + Number(stat[12]) + Number(stat[13]) + Number(stat[14])) / 100
  }
  return seconds
}

try {
  const mbox = join(folder, 'mails.mbox')
  const file = await open(mbox, 'w')
  let sizeBytes = 0
  for (const piece of madeUpMbox(count)) sizeBytes += (await file.write(piece)).bytesWritten
  await file.close()
  console.log(`${count} mails, ${Math.round(sizeBytes / 2 ** 20)} MiB`)

  const service = await startWhole(t as never, folder, { SMARTCRM_ADMIN_KEY: key, LOG_LEVEL: 'info' })
  const processes: Process[] = ['api', 'eventstore', 'projector', 'worker'].map((role) => ({ role, pid: service.pids(role).at(-1)! }))
  const postmaster = await service.postmaster()
  const at = { url: service.url, key }
  const before = await Promise.all(processes.map(({ pid }) => status(pid)))
  const postgresBefore = await postgresSeconds(postmaster)

  const began = performance.now()
  const curl = spawn('curl', [
    '-sS',
    '-H',
    `authorization: Bearer ${key}`,
    '-F',
    `me=${OWN_ADDRESS}`,
    '-F',
    `file=@${mbox}`,
    `${service.url}/v1/imports`,
  ])
  let answer = ''
  for await (const piece of curl.stdout) answer += piece
  const { id } = JSON.parse(answer) as { id: string }
  const uploaded = performance.now()
  console.log(`uploaded in ${((uploaded - began) / 1000).toFixed(1)} s`)
  let shown: Import | null = null
  for (let told = performance.now(); shown?.state !== 'finished'; await delay(250)) {
    const { status: code, body } = await get<Import>(at, `/v1/imports/${id}`)
    shown = code === 200 ? body : null
    if (performance.now() - told < 10_000) continue
    told = performance.now()
    console.log(
      `${shown?.done} readable after ${((told - began) / 1000).toFixed(0)} s: ${Math.round((shown?.done ?? 0) / ((told - began) / 1000))}/s`,
    )
  }
  const seconds = (performance.now() - began) / 1000
  console.log(`${JSON.stringify(shown.counts)}`)
  console.log(`${seconds.toFixed(1)} s from the upload's first byte until all can be read: ${Math.round(count / seconds)} mails/s`)
  for (const [index, { role, pid }] of processes.entries()) {
    const { peakMegabytes, cpuSeconds } = await status(pid)
    const used = cpuSeconds - before[index]!.cpuSeconds
    console.log(`${role.padEnd(10)} peak ${peakMegabytes.toFixed(0)} MB, ${((used / count) * 1000).toFixed(2)} ms of processor time a mail`)
  }
  console.log(
    `postgres   ${((((await postgresSeconds(postmaster)) - postgresBefore) / count) * 1000).toFixed(2)} ms of processor time a mail`,
  )
} finally {
  for (const clear of teardowns) await clear()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
