import type { Command, CommanderError } from 'commander'
import type { Config } from '../config.ts'
import { Fault } from '../platform/fault.ts'
import type { Rotated } from '../platform/vault-rotation.ts'
import { type Outcome, tell } from './tell.ts'

/** Exit codes: done; the old master key still opens the vault; the call was wrong or cannot be carried out now. */
const EXIT = { done: 0, unfinished: 1, wrongCall: 2 }

/** Adds `vault rotate`. It works on the database itself, as a role does, not over HTTP. */
export function vaultCommands(program: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.wrongCall)
  const vault = program.command('vault').description('the keys of all personal data').exitOverride(asExitCode)
  vault
    .command('rotate')
    .description('change the master key while all runs; run it again when it was interrupted')
    .option('--json', 'print the outcome as JSON, and nothing else')
    .exitOverride(asExitCode)
    .action(async ({ json = false }: { json?: boolean }) => {
      process.exitCode = await tell(json, EXIT.wrongCall, async () => outcomeOf(await rotate(config())))
    })
}

async function rotate(config: Config): Promise<Rotated & { line: string }> {
  const { databaseUrl, dataFolder, masterKey, newMasterKey } = config
  if (!databaseUrl) {
    throw new Fault(
      'Set DATABASE_URL. Where `smartcrm start` runs its own Postgres, give it the setting POSTGRES_PORT: it is then ' +
        `postgres://postgres:PASSWORD@127.0.0.1:POSTGRES_PORT/smartcrm, with the password in ${dataFolder}/postgres/password.`,
    )
  }
  const [{ masterKeySource, sourceOf }, { createLogger }, { openPool }, { rotateMasterKey }] = await Promise.all([
    import('../master-key.ts'),
    import('../platform/log.ts'),
    import('../platform/database.ts'),
    import('../platform/vault-rotation.ts'),
  ])
  const pool = openPool(databaseUrl, createLogger('silent', 'vault'), 2)
  const next = newMasterKey === undefined ? null : sourceOf(newMasterKey, config, 'SMARTCRM_NEW_MASTER_KEY')
  try {
    const rotated = await rotateMasterKey(pool, masterKeySource(config), next)
    const { from, to, rewrapped, retired } = rotated
    const done = `Rewrapped ${rewrapped.toLocaleString('en')} keys and secrets: the master key was ${from} and is ${to}.`
    const then = !retired
      ? ` The old one still opens the vault. Set SMARTCRM_MASTER_KEY to the new one, start all processes anew, and run this again without SMARTCRM_NEW_MASTER_KEY.`
      : masterKey === undefined
        ? ` The one before is in ${dataFolder}/master.key.${from}: it opens backups of the database from before now, and nothing else. Keep copies of both apart from the backups.`
        : ' The one before opens backups of the database from before now, and nothing else.'
    return { ...rotated, line: done + then }
  } finally {
    await pool.close()
  }
}

const outcomeOf = ({ line, ...data }: Rotated & { line: string }): Outcome => ({
  text: line,
  data,
  code: data.retired ? EXIT.done : EXIT.unfinished,
})
