import { Command } from 'commander'
import { environment, readConfig } from './config.ts'
import { Fault } from './platform/fault.ts'
import { Unavailable } from './platform/refusal.ts'
import { type Role, supervisedFlag } from './roles/role.ts'
import { runRole } from './roles/run-role.ts'
import { version } from './version.ts'

const program = new Command('smartcrm')
  .description('An event-sourced CRM service. Settings come from the environment and the file .env; the README lists them.')
  .version(version)

program
  .command('start')
  .description('everything: the API, the projector, the worker and, unless others are set, the embedded event store and Postgres')
  .option('--demo', 'with a made-up mailbox at a simulated Google: the whole product in a minute, without an account')
  .action(async ({ demo }: { demo?: true }) => {
    const { supervise } = await import('./supervisor.ts')
    await supervise(readConfig(demo && { ...environment(), SMARTCRM_DEMO: '1' }))
  })

role('api', 'the HTTP API')
role('projector', 'keeps the read tables up to date with the log')
role('worker', 'does the jobs')
const eventstore = role('eventstore', 'the embedded event store').option('--port <number>', 'its port, instead of EVENTSTORE_PORT')
role('postgres', 'the embedded Postgres')

// Nothing else of the command line is worth the time that reading its code takes when a role starts.
if (!process.argv[2] || !program.commands.some((command) => command.name() === process.argv[2])) {
  const { importCommand } = await import('./cli/import.ts')
  importCommand(program, readConfig)
  const { projectionCommands } = await import('./cli/projections.ts')
  projectionCommands(program, readConfig)
  const { keyCommands } = await import('./cli/keys.ts')
  keyCommands(program, readConfig)
  const { diffCommand } = await import('./cli/diff.ts')
  diffCommand(program, readConfig)
  const { auditCommands } = await import('./cli/audit.ts')
  auditCommands(program, readConfig)
  const { blobCommands } = await import('./cli/blobs.ts')
  blobCommands(program, readConfig)
  const { exportCommand } = await import('./cli/export.ts')
  exportCommand(program, readConfig)
  const { vaultCommands } = await import('./cli/vault.ts')
  vaultCommands(program, readConfig)
  const { erasureCommands } = await import('./cli/erasures.ts')
  erasureCommands(program, readConfig)
}

if (process.argv.includes('eventstore') && !process.argv.includes(supervisedFlag)) {
  const { eventStoreCommands } = await import('./cli/eventstore.ts')
  eventStoreCommands(eventstore, readConfig)
}

function role(name: Role, description: string): Command {
  return program
    .command(name)
    .description(description)
    .action(({ port }: { port?: string }) => {
      const config = readConfig(port === undefined ? undefined : { ...environment(), EVENTSTORE_PORT: port })
      return runRole(name, config)
    })
}

try {
  await program.parseAsync(process.argv.filter((argument) => argument !== supervisedFlag))
} catch (error) {
  console.error(error instanceof Fault || error instanceof Unavailable ? error.message : error)
  process.exit(1)
}
