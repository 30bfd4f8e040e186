import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, chown, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from './fault.ts'
import type { Logger } from './log.ts'
import { postgresEnvironment, postgresFault } from './postgres-fault.ts'
import type { PostgresUser } from './postgres-user.ts'

type Place = { dir: string; cluster: string; initdb: string; user: PostgresUser | null; log: Logger }

/**
 * Makes Postgres's cluster unless it is there: in a folder beside it, renamed when it is complete, so that a half-made one is never
 * taken for one. Sorting and letters' case follow Unicode's code points and tables inside Postgres (C.UTF-8), so that an update of the
 * machine's own locales cannot break an index.
 * @returns the password of the cluster's user `postgres`
 */
export async function initCluster({ dir, cluster, initdb, user, log }: Place): Promise<string> {
  if (user) await chown(dir, user.uid, user.gid)
  const halfMade = (await readdir(dir)).filter((name) => name.startsWith('cluster.new'))
  // One that a killed process was making may still be filled by its initdb: then it is left for the next time.
  for (const name of halfMade) await rm(join(dir, name), { recursive: true, maxRetries: 3 }).catch((err) => log.debug({ err }))
  const password = join(dir, 'password')
  if (await exists(cluster)) return readPassword(password, cluster)
  if (!(await exists(password))) await writePassword(password, user)
  log.info({ cluster }, 'making the Postgres cluster')
  const made = `${cluster}.new-${randomBytes(4).toString('hex')}`
  await runInitdb(initdb, made, password, { dir, user })
  await rename(made, cluster)
  await syncFolder(dir)
  return readPassword(password, cluster)
}

/** @param knowsUtf8 whether the machine has the locale C.UTF-8, without which pg_trgm takes letters beyond ASCII for punctuation */
async function runInitdb(
  initdb: string,
  made: string,
  pwfile: string,
  place: Pick<Place, 'dir' | 'user'>,
  knowsUtf8 = true,
): Promise<void> {
  const { dir, user } = place
  const args = [`--pgdata=${made}`, `--pwfile=${pwfile}`, '--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8']
  const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', ...(knowsUtf8 ? ['--lc-ctype=C.UTF-8'] : [])]
  const more = ['--data-checksums', '--no-instructions']
  const child = spawn(initdb, [...args, ...locale, ...more], {
    ...user,
    cwd: dir,
    detached: true,
    env: postgresEnvironment,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (output += text))
  const [code] = await once(child, 'close')
  if (code !== 0 && knowsUtf8 && /locale/.test(output)) return runInitdb(initdb, made, pwfile, place, false)
  if (code !== 0) throw postgresFault(output, { dir }) ?? new Error(`The Postgres cluster could not be made: ${output.trim()}`)
}

async function readPassword(file: string, cluster: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    throw new Fault(
      `The password file ${file} of the Postgres in ${cluster} cannot be read (${(error as NodeJS.ErrnoException).code}): put it back from a backup.`,
    )
  }
}

/** Complete or not there, also after a crash. Only Postgres's user reads it; initdb has to. */
async function writePassword(file: string, user: PostgresUser | null): Promise<void> {
  const handle = await open(`${file}.new`, 'w', 0o600)
  try {
    await handle.write(randomBytes(24).toString('base64url'))
    if (user) await handle.chown(user.uid, user.gid)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${file}.new`, file)
}

/** A renaming is on the disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  await handle.sync().finally(() => handle.close())
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
