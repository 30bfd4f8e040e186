import { execFile } from 'node:child_process'
import { chmod, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { Fault } from './fault.ts'

const run = promisify(execFile)

/** Whom Postgres runs as, when that is not simply us. */
export type PostgresUser = { uid: number; gid: number }

/**
 * Postgres refuses to run as root, so for root it gets a user of its own, `postgres`, made if there is none.
 * @returns null when we are not root: Postgres then runs as we do
 */
export async function postgresUser(): Promise<PostgresUser | null> {
  if (process.getuid?.() !== 0) return null
  return (await find()) ?? (await make())
}

async function find(): Promise<PostgresUser | null> {
  try {
    const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, 'postgres'])))
    return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) }
  } catch {
    return null
  }
}

async function make(): Promise<PostgresUser> {
  // The second is what Alpine has.
  const ways: [string, string[]][] = [
    ['useradd', ['--system', '--user-group', '--no-create-home', 'postgres']],
    ['adduser', ['-S', '-D', '-H', 'postgres']],
  ]
  for (const [command, args] of ways) {
    const user = await run(command, args).then(find, find)
    if (user) return user
  }
  throw new Fault(
    'Postgres does not run as root, and the user postgres could not be made: make it (useradd --system postgres), or start SmartCRM as another user.',
  )
}

/** Makes a folder. For root, those above it that had to be made may be entered by everybody, whatever the umask. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true })
  if (first === undefined || process.getuid?.() !== 0) return
  for (const made of above(folder)) if (made.startsWith(first)) await chmod(made, 0o711)
}

/**
 * The outermost folder on the way to `path` that the user may not enter, or `path` itself when the user may not read it.
 * Knows modes, not access lists.
 */
export async function closedFor(user: PostgresUser, path: string): Promise<string | null> {
  for (const folder of above(path)) if (!(await allows(user, folder, 0o1))) return folder
  return (await allows(user, path, 0o5)) ? null : path
}

async function allows({ uid, gid }: PostgresUser, path: string, bits: number): Promise<boolean> {
  const status = await stat(path)
  const shift = status.uid === uid ? 6 : status.gid === gid ? 3 : 0
  return ((status.mode >> shift) & bits) === bits
}

/** The folders above a path, the outermost first. */
function above(path: string): string[] {
  const parent = dirname(path)
  return parent === path ? [] : [...above(parent), parent]
}
