import { readFile } from 'node:fs/promises'
import type { Command, CommanderError } from 'commander'
import { type AuditResult, Seal } from '../../schema/verification.ts'
import type { Config } from '../config.ts'
import { Fault } from '../platform/fault.ts'
import { untilDone } from './job.ts'
import { asker } from './service.ts'
import { tell } from './tell.ts'

/** Exit codes: all is as it was written; something is not; the call was wrong or could not be carried out. */
const EXIT = { sound: 0, damaged: 1, wrongCall: 2 }

/** Adds `audit verify`. It asks the service, over HTTP. */
export function auditCommands(program: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.sound : EXIT.wrongCall)
  const audit = program.command('audit').description('whether the log is as it was written').exitOverride(asExitCode)
  audit
    .command('verify')
    .description('read the whole log and name what was edited, removed, reordered or cut off by hand')
    .option('--seal <file>', 'the JSON outcome of an earlier audit: up to there the log has to be what it was then')
    .option('--json', 'print the outcome as JSON, and nothing else')
    .exitOverride(asExitCode)
    .action(async ({ json = false, seal: file }: { json?: boolean; seal?: string }) => {
      process.exitCode = await tell(json, EXIT.wrongCall, async () => {
        const seal = file === undefined ? {} : { seal: await readSeal(file) }
        const result = await untilDone<AuditResult>(asker(config), '/v1/admin/audit', seal, json)
        return { text: inWords(result), data: result, code: result.found > 0 ? EXIT.damaged : EXIT.sound }
      })
    })
}

async function readSeal(file: string): Promise<{ position: string; digest: string }> {
  const { Value } = await import('@sinclair/typebox/value')
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Fault(`${file} cannot be read: ${error.message}`)
  })
  try {
    const { seal } = JSON.parse(text) as { seal: { position: string; digest: string } }
    if (Value.Check(Seal, seal)) return seal
  } catch {}
  throw new Fault(`${file} has no seal in it: give the outcome of \`smartcrm audit verify --json\`.`)
}

function inWords({ events, streams, unknown, found, findings, seal }: AuditResult): string {
  const lines = findings.map(({ what, stream, revision, position }) =>
    [stream && (revision === undefined ? stream : `${stream} ${revision}`), position && `(${position})`, what].filter(Boolean).join(' '),
  )
  const more = found > findings.length ? [`… and ${found - findings.length} more`] : []
  const passed = unknown > 0 ? `, ${unknown} of them of types that this version does not know` : ''
  return [
    ...lines,
    ...more,
    `Read ${events} events of ${streams} streams${passed}: ${found === 0 ? 'all are as they were written' : `${found} findings`}.`,
    `Seal: ${seal.position} ${seal.digest}`,
  ].join('\n')
}
