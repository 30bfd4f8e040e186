import { readFile } from 'node:fs/promises'
import type { Command, CommanderError } from 'commander'
import type { Config } from '../config.ts'
import { Fault } from '../platform/fault.ts'
import type { Services } from '../services.ts'
import { withServices } from './servers.ts'
import { asker } from './service.ts'
import { type Outcome, tell } from './tell.ts'

/** Exit codes: done, and all is right; something is not; the call was wrong or could not be carried out. */
const EXIT = { sound: 0, wrong: 1, wrongCall: 2 }

/** Adds `erasures verify FILE`, and `erasures apply`, which works on the servers themselves, as a role does. */
export function erasureCommands(program: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.sound : EXIT.wrongCall)
  const erasures = program.command('erasures').description('people who were erased').exitOverride(asExitCode)
  erasures
    .command('verify <file>')
    .description('whether the receipt of an erasure is as the service signed it')
    .option('--key <key>', 'the public key of the service, in base64; else the service is asked for it')
    .option('--json', 'print the outcome as JSON, and nothing else')
    .exitOverride(asExitCode)
    .action(async (file: string, { json = false, key }: { json?: boolean; key?: string }) => {
      process.exitCode = await tell(json, EXIT.wrongCall, async () => {
        const receipt = await readReceipt(file)
        const publicKey = key ?? (await asker(config)<{ publicKey: string }>('GET', '/v1/erasures/key')).publicKey
        const { faultOfReceipt } = await import('../erasure/verify-receipt.ts')
        const fault = orFault(() => faultOfReceipt(receipt, publicKey))
        return {
          text: fault ?? 'The receipt is as the service signed it.',
          data: { valid: fault === null, fault, publicKey },
          code: fault === null ? EXIT.sound : EXIT.wrong,
        }
      })
    })
  erasures
    .command('apply')
    .description('after a backup was restored: erase again whom the list of erasures names; every start does so')
    .option('--json', 'print the outcome as JSON, and nothing else')
    .exitOverride(asExitCode)
    .action(async ({ json = false }: { json?: boolean }) => {
      process.exitCode = await tell(json, EXIT.wrongCall, () => withServices(config(), apply))
    })
}

async function apply(services: Services): Promise<Outcome> {
  const [{ eraseAgain }, { createLogger }] = await Promise.all([import('../erasure/at-start.ts'), import('../platform/log.ts')])
  const { listed, again, keys, damaged } = await eraseAgain(services, createLogger('silent', 'command line'))
  const lines = damaged.length > 0 ? ` Lines ${damaged.join(', ')} of ${services.erasureList.file} cannot be read.` : ''
  return {
    text: `Of ${listed} erasures in the list ${again.length} were made again, and ${keys} keys destroyed.${lines}`,
    data: { listed, again, keys, damaged },
    code: damaged.length > 0 ? EXIT.wrong : EXIT.sound,
  }
}

async function readReceipt(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Fault(`${file} cannot be read: ${error.message}`)
  })
  try {
    return JSON.parse(text)
  } catch {
    throw new Fault(`${file} is no JSON: give the answer of GET /v1/contacts/{id}/erasure.`)
  }
}

function orFault<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw error instanceof RangeError ? new Fault(error.message) : error
  }
}
