import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Static } from '@sinclair/typebox'
import type { Import, ImportAccepted, ImportPage, ImportResultPage } from '../../schema/import.ts'
import type { Job, JobPage } from '../../schema/job.ts'
import type { Progress } from './import-progress.ts'
import type { ErrorsFile } from './import-report.ts'
import { digestOf } from './mail-files.ts'
import { backOff, call, problemText, type Service, ServiceError, TRANSIENT } from './service.ts'
import { uploadFile } from './upload.ts'

/** What became of the mails of one file. `failures` holds the first of them, `counts.failed` says how many there are. */
export type MailReport = {
  file: string
  importId: string
  messages: number
  counts: { stored: number; known: number; failed: number }
  failures: { message: number; reason: string }[]
}

const KEPT_FAILURES = 1_000
const LOOK_MS = 300

type Options = { service: Service; me: readonly string[]; progress: Progress; errors: ErrorsFile }

/** Of many small files, so many are on their way at once. */
const FILES_AT_ONCE = 4

/**
 * Imports files of mails: each is uploaded unless it is there already, and then waited for until its mails can be read. Killed and run again it
 * goes on, since the service has gone on meanwhile.
 * @param reports gets one for each file as it is done, in the end in their order
 * @throws ServiceError
 */
export async function importMails(paths: readonly string[], options: Options, reports: MailReport[]): Promise<void> {
  if (paths.length === 0) return
  const { progress } = options
  const [only] = paths.length === 1 ? paths : []
  const seen = new Set<string>()
  const left = paths.values()
  const takeNext = async () => {
    for (const path of left) {
      const report = await importFile(
        path,
        { ...options, progress: only ? progress : { ...progress, start() {}, done() {}, stop() {} } },
        seen,
      )
      reports.push(report)
      if (!only) progress.done(reports.length)
    }
  }
  if (!only) progress.start('mails', paths.length, 'files')
  await Promise.all(Array.from({ length: Math.min(FILES_AT_ONCE, paths.length) }, takeNext))
  progress.stop()
  reports.sort((a, b) => paths.indexOf(a.file) - paths.indexOf(b.file))
}

async function importFile(path: string, { service, me, progress, errors }: Options, seen: Set<string>): Promise<MailReport> {
  const { sha256, sizeBytes } = await digestOf(path)
  progress.start(basename(path), kilobytes(sizeBytes), 'kB')
  const found = await theImport(service, path, { sha256, sizeBytes, me }, progress)
  // What an earlier import had stored, this one finds there.
  const wasThere = found.wasFinished || seen.has(found.id)
  seen.add(found.id)
  const shown = await untilFinished(service, sha256, found.id, progress)
  progress.stop()
  const { stored, known, failed } = shown.counts
  const counts = wasThere ? { stored: 0, known: stored + known, failed } : { stored, known, failed }
  const report: MailReport = { file: path, importId: shown.id, messages: shown.done, counts, failures: [] }
  if (failed > 0) await addFailures(service, report, errors)
  if (shown.fault !== null) throw new ServiceError(`${path}: ${shown.fault}`)
  return report
}

const kilobytes = (bytes: number) => Math.ceil(bytes / 1024)

type File = { sha256: string; sizeBytes: number; me: readonly string[] }

/** The import of this file with these addresses: that which is there, or a new one. */
async function theImport(
  service: Service,
  path: string,
  { sha256, sizeBytes, me }: File,
  progress: Progress,
): Promise<{ id: string; wasFinished: boolean }> {
  const retry = backOff(service)
  const wanted = JSON.stringify([...new Set(me)].sort())
  for (;;) {
    const there = (await importsOf(service, sha256)).find((found) => JSON.stringify(found.me) === wanted && found.map.length === 0)
    if (there) return { id: there.id, wasFinished: there.state === 'finished' }
    try {
      const { status, body } = await uploadFile(
        service,
        path,
        sizeBytes,
        me.map((address) => ['me', address]),
        () => {},
      )
      if (status === 202) {
        const { id, known } = body as Static<typeof ImportAccepted>
        return { id, wasFinished: known }
      }
      if (!TRANSIENT.has(status)) throw new ServiceError(`${path}: the service refused it (${status}): ${problemText(body as object)}`)
      await retry(`it answers ${status}`)
    } catch (error) {
      if (error instanceof ServiceError) throw error
      progress.note('the upload broke off')
      await retry(`the upload broke off (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`)
    }
  }
}

/** Waits as long as its job is at work. One that had failed for good is tried again, once. */
async function untilFinished(service: Service, sha256: string, id: string, progress: Progress): Promise<Import> {
  const retry = backOff(service)
  let retried = false
  for (let looks = 0; ; looks += 1) {
    const shown = (await importsOf(service, sha256)).find((found) => found.id === id)
    if (shown?.state === 'finished') return shown
    if (shown) progress.done(kilobytes(shown.readBytes))
    else if (looks > 20) await retry('its tables are behind')
    const job = shown && looks % 10 === 5 ? await jobOf(service, shown) : undefined
    const isOver = job?.state === 'failed' || job?.state === 'cancelled'
    if (isOver && !retried && job.state === 'failed') {
      retried = true
      await call(service, { method: 'POST', path: `/v1/jobs/${job.id}/retry`, headers: { 'content-type': 'application/json' }, body: {} })
    } else if (isOver) {
      const why = job.error ? `: ${job.error.message}` : '.'
      throw new ServiceError(
        `The import stopped at message ${shown!.done} (job ${job.id} is ${job.state})${why} Run the same command again to go on.`,
      )
    } else if (job?.state === 'retrying') progress.note(`waiting to try again: ${job.error?.message ?? ''}`)
    await sleep(looks < 5 ? LOOK_MS / 5 : LOOK_MS)
  }
}

/** By what is in the file rather than by id: a list is never missing while the tables follow the log. */
async function importsOf(service: Service, sha256: string): Promise<readonly Import[]> {
  const { body } = await call(service, { method: 'GET', path: `/v1/imports?sha256=${sha256}&limit=200` })
  const { data } = (body ?? {}) as Partial<Static<typeof ImportPage>>
  if (!Array.isArray(data)) throw new ServiceError(`${service.url} did not answer as SmartCRM does. Check SMARTCRM_URL.`, true)
  return data
}

async function jobOf(service: Service, { id, jobId }: Import): Promise<Job | undefined> {
  const { body } = await call(service, { method: 'GET', path: `/v1/jobs?queue=import&key=${id}` })
  return (body as Static<typeof JobPage>).data.find((job) => job.id === jobId)
}

async function addFailures(service: Service, report: MailReport, errors: ErrorsFile): Promise<void> {
  for (let cursor = ''; ; ) {
    const path = `/v1/imports/${report.importId}/results?outcome=failed&limit=200${cursor}`
    const page = (await call(service, { method: 'GET', path })).body as Static<typeof ImportResultPage>
    for (const { index, reason = '' } of page.data) {
      if (report.failures.length < KEPT_FAILURES) report.failures.push({ message: index + 1, reason })
      await errors.write(report.file, { line: index + 1, reason, raw: '' })
    }
    if (page.nextCursor === null) return
    cursor = `&cursor=${page.nextCursor}`
  }
}

const SHOWN_FAILURES = 20

/** The report for a person. */
export function mailReportText(reports: readonly MailReport[], errorsFile: string | undefined): string[] {
  const lines = reports.flatMap(({ file, messages, counts, importId, failures }) => {
    const { stored, known, failed } = counts
    const shown = failures.slice(0, SHOWN_FAILURES).map(({ message, reason }) => `  message ${message}: ${reason}`)
    const more = failed - shown.length
    const where = errorsFile ? `all are in ${errorsFile}` : '--errors FILE lists all'
    return [
      `${file}: ${messages} ${messages === 1 ? 'mail' : 'mails'}: ${stored} stored, ${known} known, ${failed} failed (import ${importId})`,
      ...shown,
      ...(more > 0 ? [`  … and ${more} more; ${where}.`] : []),
    ]
  })
  const { stored, known, failed } = mailTotals(reports)
  return [...lines, ...(reports.length > 1 ? [`All mails: ${stored} stored, ${known} known, ${failed} failed`] : [])]
}

export const mailTotals = (reports: readonly MailReport[]) => {
  const sum = (name: 'stored' | 'known' | 'failed') => reports.reduce((total, { counts }) => total + counts[name], 0)
  return { stored: sum('stored'), known: sum('known'), failed: sum('failed') }
}
