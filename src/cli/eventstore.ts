import { existsSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join, resolve } from 'node:path'
import { json } from 'node:stream/consumers'
import type { Command, CommanderError } from 'commander'
import type { Config } from '../config.ts'
import type { CompactResult } from '../eventstore/compact.ts'
import type { Damage } from '../eventstore/database.ts'
import { Fault } from '../platform/fault.ts'

type Options = { file?: string; json?: boolean }

/** What a command says: a line for people, and the same for programs. */
type Told = { line: string; data: object; damages?: Damage[] }

/** Exit codes: done and sound; damage was found; the call was wrong or cannot be carried out now. */
const EXIT = { done: 0, damaged: 1, wrongCall: 2 }

/**
 * Adds `verify`, `backup FILE`, `restore FILE` and `compact` to the command that runs the embedded event store.
 * @param config read only where no `--file` names the log
 */
export function eventStoreCommands(eventstore: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.wrongCall)
  eventstore.exitOverride(asExitCode)

  /** `carryOut` gets the log's file, and the name that was given to the command if it takes one. */
  const add = (usage: string, description: string, carryOut: (file: string, named: string) => Promise<Told>) =>
    eventstore
      .command(usage)
      .description(description)
      .option('--file <log>', 'the log, instead of eventstore/events.db in SMARTCRM_DATA')
      .option('--json', 'print the outcome as JSON, and nothing else')
      .exitOverride(asExitCode)
      .action(async (...given: unknown[]) => {
        const [named, options] = usage.includes('<') ? (given as [string, Options]) : ['', given[0] as Options]
        const fileOf = () => (options.file === undefined ? join(config().dataFolder, 'eventstore', 'events.db') : resolve(options.file))
        process.exitCode = await tell(options, async () => carryOut(fileOf(), named))
      })

  add('verify', 'read the whole log and name every damage by stream, revision and position; also beside a running node', verifyLog)
  add('backup <file>', 'write a consistent copy of the log to a new file, while the node goes on', backUp)
  add('restore <file>', 'make a backup the log; the log that was there is kept beside it as .replaced', restoreLog)
  add('compact', 'remove what $maxCount, $maxAge, $tb and deletes have hidden; by the running node, if there is one', compactLog)
}

/** Carries out and prints; gives the exit code. */
async function tell({ json }: Options, carryOut: () => Promise<Told>): Promise<number> {
  const { DamagedFile } = await import('../eventstore/database.ts')
  try {
    const { line, data, damages = [] } = await carryOut()
    if (json) console.log(JSON.stringify({ ...data, damages }, null, 2))
    else for (const text of [...damages.map(lineOf), line]) console.log(text)
    return damages.length > 0 ? EXIT.damaged : EXIT.done
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const damages = error instanceof DamagedFile ? error.damages : []
    if (json) console.log(JSON.stringify({ error: error.message, ...(damages.length > 0 && { damages }) }, null, 2))
    else console.error([...damages.map(lineOf), error.message].join('\n'))
    return damages.length > 0 ? EXIT.damaged : EXIT.wrongCall
  }
}

function lineOf({ stream, revision, position, what }: Damage): string {
  const place = [
    stream !== undefined && `stream ${stream}`,
    revision !== undefined && `revision ${revision}`,
    position !== undefined && `position ${position}`,
  ].filter(Boolean)
  return `${place.join(', ') || 'the file'}: ${what}`
}

async function verifyLog(file: string): Promise<Told> {
  const { verify, MAX_DAMAGES } = await import('../eventstore/verify.ts')
  const { damages, ...counts } = verify(file)
  const size = `${count(counts.events, 'event')} in ${count(counts.streams, 'stream')}, up to position ${counts.lastPosition}`
  const found = `${damages.length >= MAX_DAMAGES ? 'at least ' : ''}${count(damages.length, 'damage')}`
  const line = damages.length === 0 ? `${file} is sound: ${size}.` : `${file} is damaged: ${found} in ${size}.`
  return { line, data: { file, ...counts }, damages }
}

async function backUp(file: string, target: string): Promise<Told> {
  const { backup } = await import('../eventstore/backup.ts')
  const taken = backup(file, resolve(target))
  return {
    line: `Backed up ${count(taken.events, 'event')}, up to position ${taken.lastPosition}, to ${target} (${megabytes(taken.sizeBytes)}), and verified the copy.`,
    data: { file, backup: resolve(target), ...taken },
  }
}

async function restoreLog(file: string, source: string): Promise<Told> {
  const { restore } = await import('../eventstore/backup.ts')
  const replaced = existsSync(file) ? `${file}.replaced` : undefined
  const restored = restore(resolve(source), file)
  const kept = replaced ? ` The log that was there is ${replaced}.` : ''
  return {
    line: `Restored ${count(restored.events, 'event')}, up to position ${restored.lastPosition}, to ${file}.${kept}`,
    data: { file, backup: resolve(source), ...restored, ...(replaced && { replaced }) },
  }
}

async function compactLog(file: string): Promise<Told> {
  const { EventStoreRefusal, LogInUse } = await import('../eventstore/database.ts')
  if (!existsSync(file)) throw new EventStoreRefusal(`There is no event log at ${file}.`)
  const { compactFile } = await import('../eventstore/compact.ts')
  const result = await compactFile(file).catch((error) => {
    if (error instanceof LogInUse) return compactRunning(file, error)
    throw error
  })
  const { removedEvents, streams } = result
  return {
    line: `Removed ${count(removedEvents, 'hidden event')} of ${count(streams, 'stream')} from ${file}.`,
    data: { file, removedEvents, streams },
  }
}

/** Asks the node that has the log open. @throws the error given when it cannot be reached: something else has the log */
async function compactRunning(file: string, inUse: Fault): Promise<CompactResult> {
  const { readAddress } = await import('../eventstore/address.ts')
  const address = readAddress(file)
  if (address === undefined) throw inUse
  // A crash may have left an address that is another node's by now.
  const running = await ask(`${address}/info`).catch(() => undefined)
  if (running?.file !== file) throw inUse
  const { reason, ...result } = await ask(`${address}/admin/scavenge`, 'POST')
  if (reason !== undefined) throw new Fault(`The node at ${address} could not compact ${file}: ${reason}`)
  return result
}

/** Not by fetch, which gives up after five minutes: a large log takes as long as it takes. */
async function ask(url: string, method = 'GET'): Promise<CompactResult & { file?: string; reason?: string }> {
  const response = await new Promise<IncomingMessage>((answer, reject) => request(url, { method }, answer).on('error', reject).end())
  return (await json(response)) as CompactResult
}

const count = (amount: number, noun: string) => `${amount.toLocaleString('en')} ${noun}${amount === 1 ? '' : 's'}`
const megabytes = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`
