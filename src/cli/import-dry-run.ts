import type { ReadOptions } from '../import/contacts.ts'
import { type Failure, failureLines, openErrorsFile } from './import-report.ts'
import { surveyAll } from './import-survey.ts'

const KEPT_FAILURES = 1000

/** Reads and checks the files and tells what an import would send, as text and as data. Nothing is sent, so no service is needed. */
export async function dryRun(paths: string[], errorsFile: string | undefined, reading: ReadOptions) {
  const failures = new Map<string, Failure[]>(paths.map((path) => [path, []]))
  const errors = await openErrorsFile(errorsFile)
  const surveys = await surveyAll(paths, reading, async (path, { line, fault, raw }) => {
    const known = failures.get(path)!
    if (known.length < KEPT_FAILURES) known.push({ line, reason: fault })
    await errors.write(path, { line, reason: fault, raw })
  })
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
  const text = ['Dry run: nothing was sent, and the service may still refuse rows.', ...lines].join('\n')
  return { text, data: { dryRun: true, files }, failed: files.reduce((sum, file) => sum + file.failed, 0) }
}
