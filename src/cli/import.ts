import { basename } from 'node:path'
import type { Command, CommanderError } from 'commander'
import type { Config } from '../config.ts'
import type { ReadOptions } from '../import/contacts.ts'
import { readContacts } from '../import/contacts.ts'
import { MAP_HELP, parseMap } from '../import/csv-columns.ts'
import { normalizeEmail } from '../platform/email-address.ts'
import { Fault } from '../platform/fault.ts'
import { laterPosition, sendBatch, waitUntilReadable } from './import-client.ts'
import { dryRun } from './import-dry-run.ts'
import { importMails, type MailReport, mailReportText, mailTotals } from './import-mail.ts'
import { makeProgress, type Progress } from './import-progress.ts'
import { addFailure, type ErrorsFile, type FileReport, newReport, openErrorsFile, reportText, totalOf } from './import-report.ts'
import { batches, importDigest, type Survey, surveyAll } from './import-survey.ts'
import { findFiles } from './mail-files.ts'
import { type Service, ServiceError } from './service.ts'

type Options = { me?: string[]; map?: string[]; errors?: string; dryRun?: boolean; json?: boolean; encoding?: string }

/** Exit codes: every row went in; rows failed, or the service gave up on it; the call itself was wrong. */
const EXIT = { done: 0, failed: 1, wrongCall: 2 }

const PATIENCE_SECONDS = 120

/**
 * Adds `import FILE…`. It ends with 0 when every row went in, 1 when some did not, 2 for a wrong call.
 * @param config read only when the service is needed, so that `--dry-run` works without one
 */
export function importCommand(program: Command, config: () => Config, { patienceSeconds = PATIENCE_SECONDS } = {}): void {
  program
    .command('import')
    .description('Import mails and contacts from files. Importing the same file again changes nothing.')
    .argument(
      '<file...>',
      'mails (.eml, mbox, or a folder of them), CSV (Google, Outlook, LinkedIn, HubSpot or other headers) or vCard 2.1 to 4.0',
    )
    .option(
      '--me <address>',
      'an e-mail address of your own, by which mails you sent are told; may be given several times',
      (text: string, all: string[] = []) => [...all, text],
    )
    .option('--map <columns>', `what the columns of a CSV file are: ${MAP_HELP}`, (text: string, all: string[] = []) => [...all, text])
    .option('--errors <file>', 'write the rows that failed to this CSV file: file, line, reason, input')
    .option('--dry-run', 'read and check the files and say what would be sent; no service is needed')
    .option('--json', 'print the report as JSON, and nothing else')
    .option('--encoding <name>', 'the encoding of the files, if it is not told right by itself: utf-8, utf-16le, windows-1252 …')
    .exitOverride((error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.wrongCall))
    .action(async (files: string[], options: Options) => {
      const service = (): Service => {
        const { serviceUrl, apiKey } = config()
        if (!apiKey) throw new ServiceError(`Set SMARTCRM_KEY to an API key of the service at ${serviceUrl}.`, true)
        return { url: serviceUrl, key: apiKey, patienceSeconds }
      }
      process.exitCode = await runImport(files, options, service)
    })
}

/** Runs an import and reports it; gives the exit code. */
async function runImport(paths: string[], options: Options, service: () => Service): Promise<number> {
  const reports: FileReport[] = []
  const mails: MailReport[] = []
  const allText = () =>
    [...(reports.length ? [reportText(reports, options.errors)] : []), ...mailReportText(mails, options.errors)].join('\n')
  const allData = () => ({
    files: [...reports, ...mails],
    total: totalOf(reports),
    ...(mails.length > 0 && { mails: mailTotals(mails) }),
  })
  const progress = makeProgress(process.stderr, { silent: options.json ?? false })
  try {
    const reading = readOptions(options)
    const me = ownAddresses(options)
    const found = await findFiles(paths)
    const mailFiles = found.filter(({ isMail }) => isMail).map(({ path }) => path)
    const contactFiles = found.filter(({ isMail }) => !isMail).map(({ path }) => path)
    if (options.dryRun) {
      const { text, data, failed } = await dryRun({ mailFiles, contactFiles }, options.errors, reading)
      print(options, text, data)
      return failed ? EXIT.failed : EXIT.done
    }
    const target = { ...service(), onWait: (why: string) => progress.note(why) }
    const surveys = await surveyAll(contactFiles, reading)
    const errors = await openErrorsFile(options.errors)
    let position: string | null = null
    for (const survey of surveys) {
      const report = newReport(survey.path, survey.importId, survey.rows, survey.columns?.unused)
      reports.push(report)
      position = laterPosition(position, await importFile({ survey, reading, service: target, report, errors, progress }))
    }
    await importMails(mailFiles, { service: target, me, progress, errors }, mails)
    await errors.end()
    if (position) await waitUntilReadable(target, position)
    print(options, allText(), { dryRun: false, ...allData(), position })
    return totalOf(reports).failed + mailTotals(mails).failed ? EXIT.failed : EXIT.done
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    progress.stop()
    if (options.json) print(options, '', { dryRun: options.dryRun ?? false, ...allData(), error: error.message })
    else {
      if (reports.length + mails.length) console.log(allText())
      console.error(error.message)
    }
    return error instanceof ServiceError && !error.wrongCall ? EXIT.failed : EXIT.wrongCall
  }
}

/** @throws Fault naming what is no address */
function ownAddresses({ me = [] }: Options): string[] {
  const wrong = me.filter((text) => !normalizeEmail(text))
  if (wrong.length > 0) throw new Fault(wrong.map((text) => `--me ${text}: this is no e-mail address.`).join('\n'))
  return [...new Set(me.map((text) => normalizeEmail(text)!))].sort()
}

const readOptions = ({ map, encoding }: Options): ReadOptions => ({
  map: (map ?? []).flatMap(parseMap),
  ...(encoding ? { encoding } : {}),
})

const print = ({ json }: Options, text: string, data: unknown) => console.log(json ? JSON.stringify(data, null, 2) : text)

type FileImport = { survey: Survey; reading: ReadOptions; service: Service; report: FileReport; errors: ErrorsFile; progress: Progress }

/** One batch after the other, because rows of one address must be applied in their order. Gives the position of the last write. */
async function importFile({ survey, reading, service, report, errors, progress }: FileImport): Promise<string | null> {
  const { path, importId, rows } = survey
  const digest = importDigest()
  let position: string | null = null
  let done = 0
  const fail = async (line: number, reason: string, raw: string) => {
    addFailure(report, { line, reason })
    await errors.write(path, { line, reason, raw })
  }
  progress.start(basename(path), rows)
  for await (const { index, contacts, faults } of batches(readContacts(path, reading))) {
    for (const { line, fault, raw } of faults) await fail(line, fault, raw)
    if (contacts.length) {
      const inputs = contacts.map(({ input }) => input)
      inputs.forEach(digest.add)
      const sent = await sendBatch(service, { importId, index, inputs })
      position = laterPosition(position, sent.position)
      for (const [at, result] of sent.outcomes.entries()) {
        const { line, raw } = contacts[at]!
        if (result.outcome === 'failed') await fail(line, result.reason, raw)
        else report.counts[result.outcome]++
      }
    }
    done += contacts.length + faults.length
    progress.done(done)
  }
  progress.stop()
  if (digest.importId() !== importId) {
    throw new ServiceError(`${path} was changed while it was imported. Run the same command again, so that it is imported as it is now.`)
  }
  return position
}
