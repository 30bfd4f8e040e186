import type { ReadOptions } from '../import/contacts.ts'
import { type Failure, failureLines, openErrorsFile } from './import-report.ts'
import { surveyAll } from './import-survey.ts'
import { mailDryRun } from './mail-dry-run.ts'

const KEPT_FAILURES = 1000

type Files = { contactFiles: string[]; mailFiles: string[] }

/** Reads and checks the files and tells what an import would send, as text and as data. Nothing is sent, so no service is needed. */
export async function dryRun({ contactFiles: paths, mailFiles }: Files, errorsFile: string | undefined, reading: ReadOptions) {
  const failures = new Map<string, Failure[]>(paths.map((path) => [path, []]))
  const errors = await openErrorsFile(errorsFile)
  const surveys = await surveyAll(paths, reading, async (path, { line, fault, raw }) => {
    const known = failures.get(path)!
    if (known.length < KEPT_FAILURES) known.push({ line, reason: fault })
    await errors.write(path, { line, reason: fault, raw })
  })
  const mails = await mailDryRun(mailFiles, errors)
  await errors.end()
  const files = surveys.map(({ path, rows, contacts, ...survey }) => ({
    file: path,
    rows,
    contacts,
    failed: rows - contacts,
    ...survey,
    failures: failures.get(path)!,
  }))
  const lines = files.flatMap(({ file, contacts, columns, failed, failures }) => [
    `${file}: ${contacts} contacts would be sent, ${failed} rows cannot be read.`,
    ...(columns ? [`  columns used: ${columns.used.join(', ')}`] : []),
    ...(columns?.unused.length ? [`  columns not used: ${columns.unused.join(', ')}`] : []),
    ...failureLines(failures, failed, errorsFile),
  ])
  const mailLines = mails.flatMap(({ file, messages, failed, failures }) => [
    `${file}: ${messages} mails, ${failed} of them cannot be read.`,
    ...failures.slice(0, 20).map(({ message, reason }) => `  message ${message}: ${reason}`),
  ])
  const text = ['Dry run: nothing was sent, and the service may still refuse rows.', ...lines, ...mailLines].join('\n')
  const all = [...files, ...mails]
  return { text, data: { dryRun: true, files: all }, failed: all.reduce((sum, file) => sum + file.failed, 0) }
}
