import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { Fault } from './platform/fault.ts'
import type { AlwaysSet } from './setting.ts'
import { settings } from './settings.ts'

/** Everything that is wrong with the settings, at once. */
export class ConfigError extends Fault {
  override name = 'ConfigError'
  faults: string[]
  constructor(faults: string[]) {
    super(faults.join('\n'))
    this.faults = faults
  }
}

type Settings = typeof settings
type Value<Name extends keyof Settings> = ReturnType<Settings[Name]['parse']>
/** The address of the service follows from another setting where it is not given. */
type Present = AlwaysSet<Settings> | 'serviceUrl'

/** The checked settings. Optional ones that nobody set are not there. */
export type Config = Readonly<{ [Name in Present]: Value<Name> } & { [Name in Exclude<keyof Settings, Present>]?: Value<Name> }>

/** The process's environment over the `.env` file of the working directory, as `process.loadEnvFile` would have it. */
export function environment(): NodeJS.ProcessEnv {
  try {
    return { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return process.env
    throw new ConfigError([`The file .env cannot be read (${(error as Error).message}): mend it or take it away.`])
  }
}

/** Puts settings that a library reads by itself where it looks for them: what is in the file .env counts for it too. */
export function shareEnvironment(prefix: string): void {
  for (const [name, value] of Object.entries(environment())) if (name.startsWith(prefix)) process.env[name] ??= value
}

/** npm and npx start us below a shell of theirs, and that alone gets the signals that they get. */
export const isBelowNpm = (): boolean => process.env['npm_lifecycle_event'] !== undefined

/**
 * Reads and checks the settings. Nothing else of ours reads the environment.
 * @param env an empty text counts as unset
 * @throws ConfigError naming everything that is wrong
 */
export function readConfig(env: NodeJS.ProcessEnv = environment()): Config {
  const faults = unknownNames(env)
  const config: Record<string, unknown> = {}
  for (const [key, { name, default: fallback, parse }] of Object.entries(settings)) {
    const text = env[name]?.trim() || fallback
    if (text === undefined) continue
    try {
      config[key] = parse(text)
    } catch (error) {
      faults.push(`${name} ${(error as Error).message}.`)
    }
  }
  const atAws = (['blobs', 'masterKey', 'newMasterKey'] as const).filter((key) => config[key] && !Buffer.isBuffer(config[key]))
  if (!(config['s3AccessKeyId'] && config['s3SecretAccessKey']))
    for (const key of atAws) faults.push(`${settings[key].name} needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.`)
  if (!config['tlsCertFile'] !== !config['tlsKeyFile']) faults.push('TLS_CERT_FILE and TLS_KEY_FILE need each other: set both or none.')
  const [known, missing] = config['googleClientId'] ? ['ID', 'SECRET'] : ['SECRET', 'ID']
  if (!config['googleClientId'] !== !config['googleClientSecret']) faults.push(`GOOGLE_CLIENT_${known} needs GOOGLE_CLIENT_${missing}.`)
  config['serviceUrl'] ??= `${config['tlsCertFile'] ? 'https' : 'http'}://127.0.0.1:${config['port']}`
  config['publicUrl'] ??= config['serviceUrl']
  if (config['demo'] && !env[settings.dataFolder.name]?.trim()) config['dataFolder'] = settings.dataFolder.parse('./data/demo')
  if (faults.length > 0) throw new ConfigError(faults)
  return Object.freeze(config) as Config
}

/** Names of ours that nobody reads are misspelt ones. */
function unknownNames(env: NodeJS.ProcessEnv): string[] {
  const known = Object.values(settings).map(({ name }) => name)
  const unknown = Object.keys(env).filter((name) => name.startsWith('SMARTCRM_') && !known.includes(name))
  return unknown.map((name) => {
    const [nearest] = known.map((other) => ({ other, distance: editDistance(name, other) })).sort((a, b) => a.distance - b.distance)
    return `${name} is not a setting${nearest && nearest.distance <= 3 ? `: did you mean ${nearest.other}?` : '.'}`
  })
}

/** How many letters have to be put in, left out or changed to make one word of the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
