import { createHash, randomBytes } from 'node:crypto'
import { link, open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Fault } from './fault.ts'
import type { Kms } from './kms.ts'

/** The key that wraps all subject keys. `id` is a fingerprint of it that may be stored and shown. */
export type MasterKey = { readonly id: string; readonly key: Buffer }

export const masterKeyOf = (key: Buffer): MasterKey => ({
  id: createHash('sha256').update('smartcrm master key').update(key).digest('hex').slice(0, 16),
  key,
})

/** A new one. @property kmsWrapped to be stored beside it, where it is kept nowhere else */
export type NewMasterKey = { readonly key: Buffer; readonly kmsWrapped: Buffer | null }

/** Where the master key is kept. */
export type MasterKeySource = {
  /** In words, for who has to mend something. */
  readonly name: string
  /**
   * The key as it is kept now; null where none is.
   * @param kmsWrapped what the vault holds wrapped by a KMS, the newest first
   * @throws Fault when it cannot be read; Unavailable when a KMS is away
   */
  load(kmsWrapped: readonly Buffer[]): Promise<Buffer | null>
  /** Makes one and keeps it, for a vault that has none. Several may do it at once: `load` gives the one that counts. */
  make(): Promise<NewMasterKey>
  /** Makes one to replace it, and keeps nothing yet; null where only a person can give another. */
  successor(): Promise<NewMasterKey | null>
  /** Keeps another in its place, and the one before beside it. Only a file has to. */
  replace?(by: MasterKey, before: MasterKey): Promise<void>
  /** What to do when nothing is kept and a vault is there. */
  readonly lost: string
}

/** By the environment, or whoever else gives it. @param setting where it is given, in words */
export const givenMasterKey = (key: Buffer, setting = 'SMARTCRM_MASTER_KEY'): MasterKeySource => ({
  name: setting,
  load: async () => key,
  make: async () => ({ key, kmsWrapped: null }),
  successor: async () => null,
  lost: '',
})

/** The master key is in the vault itself, wrapped by a KMS. */
export const kmsMasterKey = (kms: Kms): MasterKeySource => {
  const make = async () => {
    const key = randomBytes(32)
    return { key, kmsWrapped: await kms.wrap(key) }
  }
  return {
    name: kms.name,
    async load(kmsWrapped) {
      for (const wrapped of kmsWrapped) {
        const key = await kms.unwrap(wrapped)
        if (key) return key
      }
      return null
    },
    make,
    successor: make,
    lost: `The master key of this vault was not wrapped by ${kms.name}. Set SMARTCRM_MASTER_KEY to the one that it was made with: without it nothing personal can be read.`,
  }
}

/**
 * The file `master.key` in the data folder, mode 0600.
 * Keep it apart from the backups of the vault: who has both can read everything, who has only one can read nothing.
 * @param onMade told when it was made just now, by us
 */
export function fileMasterKey(dataFolder: string, onMade: (file: string) => void = () => {}): MasterKeySource {
  const file = join(dataFolder, 'master.key')
  const read = async () => {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return null
    })
    if (text !== null && !/^[0-9a-f]{64}\s*$/.test(text))
      throw new Fault(`${file} is damaged: it should hold 64 hex digits. Put back your copy of it, or set SMARTCRM_MASTER_KEY.`)
    return text === null ? null : Buffer.from(text.trim(), 'hex')
  }
  return {
    name: file,
    load: read,
    async make() {
      const isOurs = await writeOnce(file, randomBytes(32))
      if (isOurs) onMade(file)
      return { key: (await read())!, kmsWrapped: null }
    },
    successor: async () => ({ key: randomBytes(32), kmsWrapped: null }),
    /** Backups of the vault from before need the one before, so it stays beside it. */
    async replace(by, before) {
      if ((await read())?.equals(by.key)) return
      await writeOnce(`${file}.${before.id}`, before.key)
      const temporary = `${file}.${by.id}.new`
      await unlink(temporary).catch(() => {})
      await writeOnce(temporary, by.key)
      await rename(temporary, file)
      await syncFolder(dataFolder)
    },
    lost: `${file} is missing, and the vault was made with a master key already. Put back your copy of it, or set SMARTCRM_MASTER_KEY: without it nothing personal can be read.`,
  }
}

/**
 * Written whole under another name first and then linked, so that of several processes at once one wins and none reads half a key.
 * @returns false when it was there already
 */
async function writeOnce(file: string, key: Buffer): Promise<boolean> {
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(`${key.toString('hex')}\n`)
    await handle.sync()
    await link(temporary, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    await handle.close()
    await unlink(temporary)
    await syncFolder(dirname(file))
  }
}

/** A power cut must not take the file's name away: a vault is founded on it next. Windows cannot open a folder, and needs none of this. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}
