import type { Command, CommanderError } from 'commander'
import type { AccessRole, ApiKey, IssuedApiKey } from '../../schema/access.ts'
import type { Config } from '../config.ts'
import { type Asking, asker } from './service.ts'
import { tell } from './tell.ts'

/** Exit codes: done; the call was wrong or could not be carried out. */
const EXIT = { done: 0, wrongCall: 2 }

type Told = { text: string; data: unknown }
type Issued = (typeof IssuedApiKey)['static']
type Options = {
  json?: boolean
  name?: string
  role?: string
  scopes?: string[]
  sees?: string
  owner?: string
  team?: string
  expires?: string
  overlap?: string
}

/** Adds `keys` and what is done with them. They ask the service, over HTTP. */
export function keyCommands(program: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.wrongCall)
  const group = program.command('keys').description('API keys: who may do what').exitOverride(asExitCode)

  const add = (words: string, description: string, carryOut: (ask: Asking, id: string, options: Options) => Promise<Told>) =>
    group
      .command(words)
      .description(description)
      .option('--json', 'print the outcome as JSON, and nothing else')
      .exitOverride(asExitCode)
      .action(async (...args: unknown[]) => {
        const options = args.at(-2) as Options
        const id = args.length > 2 ? String(args[0]) : ''
        process.exitCode = await tell(options.json ?? false, EXIT.wrongCall, async () => ({
          code: EXIT.done,
          ...(await carryOut(asker(config), id, options)),
        }))
      })

  group.action(async () => {
    await group.commands[0]!.parseAsync([], { from: 'user' })
  })
  add('list', 'who has which, and when it was last used', async (ask) => {
    const { data } = await ask<{ data: ApiKey[] }>('GET', '/v1/keys')
    return { text: table(data), data }
  })
  add('issue', 'issue a key; it is shown this once', async (ask, _, { name, role, scopes, sees, owner, team, expires }) => {
    const data = await ask<Issued>('POST', '/v1/keys', { name, role, scopes, sees, owner, team, expiresAt: expires })
    return { text: shown(data), data }
  })
    .requiredOption('--name <text>', 'what it is for')
    .requiredOption('--role <name>', 'administrator, member, reader, service, auditor, or one of your own')
    .option('--scopes <permission...>', 'no more than these of what its role may')
    .option('--sees <which>', 'all, team or own')
    .option('--owner <name>', 'whose key it is')
    .option('--team <name>', 'the team of its owner')
    .option('--expires <time>', 'from when on it opens nothing, like 2027-01-01T00:00:00Z')
  add('rotate <id>', 'issue a key that takes the place of another', async (ask, id, { overlap }) => {
    const body = overlap === undefined ? {} : { overlapSeconds: Number(overlap) }
    const data = await ask<Issued>('POST', `/v1/keys/${encodeURIComponent(id)}/rotate`, body)
    return { text: shown(data), data }
  }).option('--overlap <seconds>', 'how long the old one opens beside it (a day)')
  add('revoke <id>', 'within 5 s it opens nothing', async (ask, id) => {
    const data = await ask<ApiKey>('DELETE', `/v1/keys/${encodeURIComponent(id)}`)
    return { text: table([data]), data }
  })
  add('roles', 'the roles there are and what they may do', async (ask) => {
    const { data } = await ask<{ data: AccessRole[] }>('GET', '/v1/roles')
    return { text: data.map(({ name, permissions }) => `${name}: ${permissions.join(', ')}`).join('\n'), data }
  })
}

/** Where the answer that had the key got lost, nobody knows it. */
const shown = ({ id, key }: Issued): string =>
  key === null
    ? `A key was made, but the answer that showed it got lost: smartcrm keys revoke ${id}, and issue another.`
    : `API key (shown once): ${key}`

function table(keys: readonly ApiKey[]): string {
  const now = new Date().toISOString()
  const state = ({ revokedAt, expiresAt }: ApiKey) =>
    revokedAt !== null && revokedAt <= now
      ? 'revoked'
      : expiresAt !== null && expiresAt <= now
        ? 'expired'
        : revokedAt !== null
          ? 'replaced'
          : 'open'
  const rows = keys.map((key) => [
    key.id,
    key.name,
    key.scopes ? `${key.role} (${key.scopes.join(' ')})` : key.role,
    [key.sees, ...(key.owner === null ? [] : [key.owner]), ...(key.team === null ? [] : [key.team])].join(' '),
    state(key),
    key.lastUsedAt ?? 'never',
  ])
  const all = [['ID', 'NAME', 'ROLE', 'SEES', 'STATE', 'LAST USED'], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)))
  return all
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
