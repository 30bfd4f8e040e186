import { createHash } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import canonicalize from 'canonicalize'
import { Fault } from '../fault.ts'

/** What was erased, by names and ids that say nothing of anybody. Of one erasure there may be several; then all of them hold. */
export type ErasedEntry = {
  readonly erasureId: string
  readonly subjectId: string
  readonly keyIds: readonly string[]
  /** Names of other streams of which the log said that what they are about was erased. */
  readonly streams: readonly string[]
  /** Digests (HMACs) of what may not come back. */
  readonly suppressed: readonly string[]
  /** RFC 3339 in UTC. */
  readonly at: string
}
/** These may come back from here on. */
export type LiftedEntry = { readonly lifted: readonly string[]; readonly at: string }
export type ErasureEntry = ErasedEntry | LiftedEntry

/** The list of erasures, which is kept outside of all backups: by it they are made again after one from before them was restored. */
export type ErasureList = {
  readonly file: string
  /** On the disk when this resolves. Before the keys are destroyed, so that no erasure is missing in it. @throws Fault when the file cannot be written */
  append(entry: ErasureEntry): Promise<void>
  /**
   * @returns entries in order, and the numbers of the lines that are none: what a power cut left of the last one (it was not erased yet), or damage
   * @throws Fault when the file is there and cannot be read
   */
  read(): Promise<{ entries: ErasureEntry[]; damaged: number[] }>
}

/** The first half of a SHA-256 is enough against damage; it is no signature. */
const sumOf = (entry: object): string => createHash('sha256').update(canonicalize(entry)!).digest('hex').slice(0, 32)

/**
 * One JSON object a line, each with a checksum. Any number of processes may append, since a line is written at once.
 * @param file made (mode 0600) with the first entry
 */
export function openErasureList(file: string): ErasureList {
  const fault = (doing: string, cause: unknown) =>
    new Fault(`The list of erasures ${file} cannot be ${doing}: ${(cause as Error).message}`, { cause })
  return {
    file,
    async append(entry) {
      try {
        await mkdir(dirname(file), { recursive: true })
        const handle = await open(file, 'a+', 0o600)
        try {
          const { size } = await handle.stat()
          // After a torn line, which nobody was told of, a new one is begun.
          const { buffer } = await handle.read(Buffer.alloc(1), 0, size > 0 ? 1 : 0, Math.max(0, size - 1))
          const isTorn = size > 0 && buffer[0] !== 0x0a
          await handle.appendFile(`${isTorn ? '\n' : ''}${JSON.stringify({ ...entry, sum: sumOf(entry) })}\n`)
          await handle.sync()
        } finally {
          await handle.close()
        }
        await syncFolder(dirname(file))
      } catch (error) {
        throw fault('written', error)
      }
    },
    async read() {
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return ''
        throw fault('read', error)
      })
      const entries: ErasureEntry[] = []
      const damaged: number[] = []
      for (const [index, line] of text.split('\n').entries()) {
        if (line === '') continue
        const entry = entryOf(line)
        if (entry) entries.push(entry)
        else damaged.push(index + 1)
      }
      return { entries, damaged }
    },
  }
}

function entryOf(line: string): ErasureEntry | null {
  try {
    const { sum, ...entry } = JSON.parse(line) as ErasureEntry & { sum: string }
    return sum === sumOf(entry) ? (entry as ErasureEntry) : null
  } catch {
    return null
  }
}

/** A power cut must not take the file's name away. Windows cannot open a folder, and needs none of this. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}
