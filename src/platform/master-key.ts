import { createHash, randomBytes } from 'node:crypto'
import { link, open, readFile, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Fault } from './fault.ts'

/** The key that wraps all subject keys. `id` is a fingerprint of it that may be stored and shown. */
export type MasterKey = { readonly id: string; readonly key: Buffer; readonly source: string }

const fingerprint = (key: Buffer) => createHash('sha256').update('smartcrm master key').update(key).digest('hex').slice(0, 16)

/**
 * The master key: the one given by SMARTCRM_MASTER_KEY, else the file `master.key` in the data folder, which is made (mode 0600) where there is none.
 * Keep that file apart from the backups of the vault: who has both can read everything, who has only one can read nothing.
 * @param isFounded whether the vault has its master key: a file that is not there was lost then, and another one would only be in the way of it
 * @throws when the file cannot be read, is not 32 bytes in hex, or was lost
 */
export async function loadMasterKey(
  given: Buffer | undefined,
  dataFolder: string,
  isFounded: () => Promise<boolean> = async () => false,
): Promise<MasterKey> {
  if (given) return { id: fingerprint(given), key: given, source: 'SMARTCRM_MASTER_KEY' }
  const file = join(dataFolder, 'master.key')
  // Who founds the vault makes the file before: it may have come between the two looks.
  const text = (await read(file)) ?? ((await isFounded()) ? ((await read(file)) ?? lost(file)) : await make(file))
  if (!/^[0-9a-f]{64}\s*$/.test(text))
    throw new Fault(`${file} is damaged: it should hold 64 hex digits. Put back your copy of it, or set SMARTCRM_MASTER_KEY.`)
  const key = Buffer.from(text.trim(), 'hex')
  return { id: fingerprint(key), key, source: file }
}

const read = (file: string): Promise<string | null> =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return null
  })

function lost(file: string): never {
  throw new Fault(
    `${file} is missing, and the vault was made with a master key already. Put back your copy of it, or set SMARTCRM_MASTER_KEY: without it nothing personal can be read.`,
  )
}

/** Written whole under another name first and then linked, so that of several processes starting at once one wins and none reads half a key. */
async function make(file: string): Promise<string> {
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(`${randomBytes(32).toString('hex')}\n`)
    await handle.sync()
    await link(temporary, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await handle.close()
    await unlink(temporary)
  }
  await syncFolder(dirname(file))
  return readFile(file, 'utf8')
}

/** A power cut must not take the file's name away: a vault is founded on it next. Windows cannot open a folder, and needs none of this. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}
