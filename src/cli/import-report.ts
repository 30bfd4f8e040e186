import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { Fault } from '../platform/fault.ts'

export type Failure = { line: number; reason: string }

/** What became of the rows of one file. `failures` holds the first of them, `counts.failed` says how many there are. */
export type FileReport = {
  file: string
  importId: string
  rows: number
  counts: Counts
  failures: Failure[]
  /** The columns of a CSV file that nothing was taken from. */
  unusedColumns?: string[]
}
export type Counts = { created: number; updated: number; unchanged: number; failed: number }

const SHOWN_FAILURES = 20
/** So that a report does not grow with the file; all failures are in the file of `--errors`. */
const KEPT_FAILURES = 1000

export const newReport = (file: string, importId: string, rows: number, unusedColumns?: string[]): FileReport => ({
  file,
  importId,
  rows,
  counts: { created: 0, updated: 0, unchanged: 0, failed: 0 },
  failures: [],
  ...(unusedColumns && { unusedColumns }),
})

export function addFailure({ counts, failures }: FileReport, failure: Failure) {
  counts.failed++
  if (failures.length < KEPT_FAILURES) failures.push(failure)
}

export const totalOf = (reports: readonly FileReport[]): Counts => {
  const sum = (name: keyof Counts) => reports.reduce((total, { counts }) => total + counts[name], 0)
  return { created: sum('created'), updated: sum('updated'), unchanged: sum('unchanged'), failed: sum('failed') }
}

const countsText = ({ created, updated, unchanged, failed }: Counts): string =>
  `${created} created, ${updated} updated, ${unchanged} unchanged, ${failed} failed`

/** The report for a person. */
export function reportText(reports: readonly FileReport[], errorsFile: string | undefined): string {
  const lines = reports.flatMap((report) => [
    `${report.file}: ${report.rows} rows: ${countsText(report.counts)} (import ${report.importId})`,
    ...(report.unusedColumns?.length ? [`  columns not used (see --map): ${report.unusedColumns.join(', ')}`] : []),
    ...failureLines(report.failures, report.counts.failed, errorsFile),
  ])
  return [...lines, ...(reports.length > 1 ? [`All files: ${countsText(totalOf(reports))}`] : [])].join('\n')
}

export function failureLines(failures: readonly Failure[], failed: number, errorsFile: string | undefined): string[] {
  const shown = failures
    .toSorted((a, b) => a.line - b.line)
    .slice(0, SHOWN_FAILURES)
    .map(({ line, reason }) => `  line ${line}: ${reason}`)
  const more = failed - shown.length
  const where = errorsFile ? `all are in ${errorsFile}` : '--errors FILE lists all'
  return more > 0 ? [...shown, `  … and ${more} more; ${where}.`] : shown
}

export type ErrorsFile = { write(file: string, failure: Failure & { raw: string }): Promise<void>; end(): Promise<void> }

/**
 * The CSV file of `--errors`: file, line, reason and the input as it was. Written while the import goes on, so that an interrupted one leaves what it knew.
 * @throws Fault when it cannot be written
 */
export async function openErrorsFile(path: string | undefined): Promise<ErrorsFile> {
  if (!path) return { write: async () => {}, end: async () => {} }
  const stream = createWriteStream(path, { mode: 0o600 })
  const failed = new Promise<never>((_, reject) => {
    stream.on('error', (error) => reject(new Fault(`The errors file cannot be written: ${error.message}. Name another one with --errors.`)))
  })
  failed.catch(() => {})
  await Promise.race([once(stream, 'open').catch(() => failed), failed])
  const write = async (cells: readonly (string | number)[]) => {
    if (!stream.write(`${cells.map(csvCell).join(',')}\r\n`)) await Promise.race([once(stream, 'drain').catch(() => failed), failed])
  }
  await write(['file', 'line', 'reason', 'input'])
  return {
    write: (file, { line, reason, raw }) => write([file, line, reason, raw]),
    async end() {
      stream.end()
      await Promise.race([once(stream, 'close').catch(() => failed), failed])
    },
  }
}

/** A text that a spreadsheet would take for a formula gets an apostrophe before it: the input is somebody else's (OWASP, CSV injection). */
function csvCell(value: string | number): string {
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
