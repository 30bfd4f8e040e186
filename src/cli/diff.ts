import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Command, CommanderError } from 'commander'
import type { Config } from '../config.ts'
import { Fault } from '../platform/fault.ts'
import type { Projection } from '../platform/projection.ts'
import type { TableChange } from '../platform/projections/diff.ts'
import { rowsInWords } from '../platform/projections/difference.ts'
import type { Services } from '../services.ts'
import { withServices } from './servers.ts'
import { tell } from './tell.ts'

/** Exit codes: nothing would be another; something would; the call was wrong or could not be carried out. */
const EXIT = { same: 0, changed: 1, wrongCall: 2 }

/** Adds `projections diff`. It works on the servers themselves, since it runs code that the service does not have. */
export function diffCommand(program: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.same : EXIT.wrongCall)
  program.commands
    .find((command) => command.name() === 'projections')!
    .command('diff <name>')
    .description('what a changed file would make of the log: which rows would be others, before anything is switched')
    .requiredOption('--with <file>', 'the changed file')
    .option('--json', 'print the outcome as JSON, and nothing else')
    .exitOverride(asExitCode)
    .action(async (name: string, { with: file, json = false }: { with: string; json?: boolean }) => {
      process.exitCode = await tell(json, EXIT.wrongCall, async () => {
        const changed = await projectionIn(file, name)
        const { position, tables } = await withServices(config(), (services) => diff(services, name, changed, json))
        const isSame = tables.every(({ kind }) => kind === 'same')
        const said = isSame ? 'no row would be another' : 'nothing was changed'
        return {
          text: [...tables.map(changeInWords), `Compared at ${position.commit}.${position.prepare}: ${said}.`].join('\n'),
          data: { position: `${position.commit}.${position.prepare}`, tables },
          code: isSame ? EXIT.same : EXIT.changed,
        }
      })
    })
}

/** The projection of that name that a file exports. @throws Fault */
async function projectionIn(file: string, name: string): Promise<Projection> {
  const module: Record<string, unknown> = await import(pathToFileURL(resolve(file)).href).catch((cause: Error) => {
    throw new Fault(`${file} cannot be loaded: ${cause.message}`, { cause })
  })
  const found = Object.values(module).filter(
    (value): value is Projection => typeof value === 'object' && value !== null && 'handle' in value && 'eventTypes' in value,
  )
  const [one] = found.filter((projection) => projection.name === name)
  if (!one)
    throw new Fault(
      `${file} exports no projection ${name}${found.length > 0 ? `, but ${found.map((other) => other.name).join(', ')}` : ''}.`,
    )
  return one
}

async function diff({ pool, store, codec }: Services, name: string, changed: Projection, isQuiet: boolean) {
  const [{ projections }, { allEvents }, { diffProjection }, { NotVerifiable }, { createLogger }] = await Promise.all([
    import('../../projections/index.ts'),
    import('../../schema/events.ts'),
    import('../platform/projections/diff.ts'),
    import('../platform/projections/verify-tables.ts'),
    import('../platform/log.ts'),
  ])
  const live = projections.find((projection) => projection.name === name)
  if (!live) throw new Fault(`There is no projection ${name}. There are: ${projections.map(({ name }) => name).join(', ')}.`)
  const { randomUUID } = await import('node:crypto')
  return diffProjection({
    pool,
    log: createLogger('silent', 'command line'),
    source: { ...store, decode: codec.decode, subscribe: (after, signal) => store.subscribe({ after, signal }) },
    live,
    changed,
    declared: new Set(Object.keys(allEvents)),
    owner: randomUUID(),
    signal: new AbortController().signal,
    progress(share, note) {
      if (process.stderr.isTTY && !isQuiet) process.stderr.write(share < 1 ? `\r\x1b[K${Math.floor(share * 100)} % ${note}` : '\r\x1b[K')
    },
  }).catch((error) => {
    throw error instanceof NotVerifiable ? new Fault(error.message) : error
  })
}

function changeInWords({ table, kind, rows, difference, added, dropped }: TableChange): string {
  const what = {
    same: `all ${rows} rows stay as they are`,
    changed: difference ? rowsInWords(difference) : `all ${rows} rows stay as they are`,
    new: `a new table with ${rows} rows`,
    gone: `${rows} rows go with the table`,
    rekeyed: `another key: ${rows} rows`,
  }[kind]
  const columns = [added.length > 0 && `new columns ${added.join(', ')}`, dropped.length > 0 && `no more ${dropped.join(', ')}`]
  return [`${table}: ${what}`, ...columns.filter(Boolean)].join('; ')
}
