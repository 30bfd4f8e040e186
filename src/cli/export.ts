import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import type { Command, CommanderError } from 'commander'
import type { Config } from '../config.ts'
import { refusal, ServiceError, serviceOf } from './service.ts'
import { tell } from './tell.ts'

/** Exit codes: the file is whole; the service did not do it, or broke off; the call was wrong. */
const EXIT = { done: 0, failed: 1, wrongCall: 2 }

/** Adds `export`. It asks the service, over HTTP, and leaves no file that is not whole. */
export function exportCommand(program: Command, config: () => Config): void {
  program
    .command('export')
    .description('all that is known of a contact, as a zip')
    .argument('<contact>', 'its id')
    .requiredOption('-o, --output <file>', 'where to write it')
    .exitOverride((error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.wrongCall))
    .action(async (contact: string, { output }: { output: string }) => {
      process.exitCode = await tell(false, EXIT.failed, async () => {
        await download(config(), `/v1/contacts/${encodeURIComponent(contact)}/export`, output)
        return { text: `Written to ${output}.`, data: { output }, code: EXIT.done }
      })
    })
}

async function download(config: Config, path: string, output: string): Promise<void> {
  const service = serviceOf(config)
  const partial = `${output}.part`
  try {
    const answer = await fetch(service.url + path, { headers: { authorization: `Bearer ${service.key}` } })
    if (!answer.ok || !answer.body)
      throw refusal(service, { status: answer.status, headers: answer.headers, body: await answer.json().catch(() => undefined) })
    await pipeline(Readable.fromWeb(answer.body as ReadableStream), createWriteStream(partial, { mode: 0o600 }))
    await rename(partial, output)
  } catch (error) {
    await rm(partial, { force: true })
    if (error instanceof ServiceError) throw error
    const { message, cause } = error as Error & { cause?: { message?: string; code?: string } }
    throw new ServiceError(`${output} was not written: ${cause?.code ?? cause?.message ?? message}. What had come of it is removed.`)
  }
}
