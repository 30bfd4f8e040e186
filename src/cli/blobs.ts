import type { Command, CommanderError } from 'commander'
import type { BadBlob, BlobsReport } from '../blob-care.ts'
import type { Config } from '../config.ts'
import type { Services } from '../services.ts'
import { withServices } from './servers.ts'
import { type Outcome, tell } from './tell.ts'

type Told = { line: string; data: object; bad?: readonly BadBlob[] }

/** Exit codes: done and sound; a blob is missing or damaged; the call was wrong or cannot be carried out now. */
const EXIT = { done: 0, damaged: 1, wrongCall: 2 }

/** Adds `blobs verify` and `blobs sweep`. They work on the servers themselves, as a role does, not over HTTP. */
export function blobCommands(program: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.wrongCall)
  const blobs = program.command('blobs').description('mails and attachments as they are stored').exitOverride(asExitCode)
  const add = (name: string, description: string, carryOut: (services: Services) => Promise<Told>) =>
    blobs
      .command(name)
      .description(description)
      .option('--json', 'print the outcome as JSON, and nothing else')
      .exitOverride(asExitCode)
      .action(async ({ json = false }: { json?: boolean }) => {
        process.exitCode = await tell(json, EXIT.wrongCall, async () => outcomeOf(await withServices(config(), carryOut)))
      })
  add('verify', 'read every blob that is referred to, and name each that is missing or damaged', verify)
  add('sweep', 'remove what neither a mail nor an import refers to, when it is a day old; the worker does it once a day', sweep)
}

async function verify(services: Services): Promise<Told> {
  const { verifyReferenced } = await import('../blob-care.ts')
  const { bad, ...counts } = await verifyReferenced(services)
  return { line: `${counted(counts)}: ${bad.length === 0 ? 'all are sound' : `${bad.length} missing or damaged`}.`, data: counts, bad }
}

const counted = ({ checked, sizeBytes, erased }: Omit<BlobsReport, 'bad'>) =>
  `Read ${count(checked)} (${(sizeBytes / 1_000_000).toFixed(1)} MB)${erased > 0 ? `, and passed over ${erased} that were erased` : ''}`

async function sweep(services: Services): Promise<Told> {
  const { sweepBlobs } = await import('../blob-care.ts')
  const report = await sweepBlobs(services)
  const { seen, referenced, young, removed } = report
  return { line: `Of ${count(seen)}, ${referenced} are referred to, ${young} are too young, ${removed} were removed.`, data: report }
}

function outcomeOf({ line, data, bad = [] }: Told): Outcome {
  const lines = bad.map(({ keyId, sha256, of, what }) => `${of}: the blob ${sha256} of key ${keyId}: ${what}`)
  return { text: [...lines, line].join('\n'), data: { ...data, bad }, code: bad.length > 0 ? EXIT.damaged : EXIT.done }
}

const count = (blobs: number) => `${blobs.toLocaleString('en')} blob${blobs === 1 ? '' : 's'}`
