import type { StoredBlob } from '../blob-name.ts'
import type { Pool } from '../database.ts'
import { formsOf, isTooShort, type Sought } from './forms.ts'
import { scanBytes, scanFiles, seeker } from './scan-files.ts'
import { scanTables } from './scan-tables.ts'

/** Where something was found, how often, and what by its kind; never the value. @property place `table read.x column y`, `file …`, `blob …` */
export type Finding = { readonly place: string; readonly kind: string; readonly count: number }

export type Scan = {
  readonly findings: readonly Finding[]
  /** What could not be looked through, and why: nobody knows whether something is in there. */
  readonly unread: readonly { readonly place: string; readonly why: string }[]
  /** Kinds of values too short to be looked for. */
  readonly notSearched: readonly string[]
  /** Tables, files and blobs that were looked through. */
  readonly places: number
  readonly bytes: number
}

/** What those who look have in common. */
export type Scanning = {
  found(finding: Finding): void
  unread(place: string, error: unknown): void
  /** So many bytes of one more piece. */
  read(bytes: number): void
  /** One more place. */
  place(): void
  readonly signal?: AbortSignal
}

export type ScanOptions = {
  readonly pool: Pool
  readonly sought: readonly Sought[]
  /** Files, and folders with all that is in them. */
  readonly files?: readonly string[]
  /** Of these, what is not looked into, with all below it. */
  readonly except?: readonly string[]
  /** What is kept elsewhere than in these folders. */
  readonly blobs?: { list(): AsyncIterable<StoredBlob>; readSealed(blob: Pick<StoredBlob, 'path'>): AsyncIterable<Buffer> }
  readonly signal?: AbortSignal
}

/**
 * Looks for values everywhere: in every column of every table of the database (queues are tables too) and what Postgres remembers of them, in files, and in
 * blobs. Memory is bounded, whatever is looked through. What cannot be read is told, too.
 *
 * It looks for text. What is sealed tells nothing, and is not unsealed for this: that its key is gone is another proof. Nor is what is compressed: of rows that
 * are there columns are asked, which are not, but in files of Postgres an old version of a large value may be.
 * @throws a connection error when Postgres is away; what `signal` says when it aborts
 */
export async function scan({ pool, sought, files = [], except = [], blobs, signal }: ScanOptions): Promise<Scan> {
  const findings = new Map<string, Finding>()
  const unread: { place: string; why: string }[] = []
  let places = 0
  let bytes = 0
  const scanning: Scanning = {
    found({ place, kind, count }) {
      const known = findings.get(`${kind} ${place}`)?.count ?? 0
      findings.set(`${kind} ${place}`, { place, kind, count: known + count })
    },
    unread: (place, error) => void unread.push({ place, why: (error as NodeJS.ErrnoException).code ?? (error as Error).name }),
    read(count) {
      bytes += count
    },
    place() {
      places += 1
    },
    ...(signal && { signal }),
  }
  const forms = formsOf(sought)
  if (forms.length > 0) {
    await scanTables(pool, forms, scanning)
    await scanFiles(files, forms, scanning, (path) => except.includes(path))
    if (blobs) {
      const seek = seeker(forms)
      try {
        for await (const blob of blobs.list()) {
          signal?.throwIfAborted()
          scanning.place()
          await scanBytes(`blob ${blob.path}`, blobs.readSealed(blob), seek, scanning).catch((error) =>
            scanning.unread(`blob ${blob.path}`, error),
          )
        }
      } catch (error) {
        signal?.throwIfAborted()
        scanning.unread('blobs', error)
      }
    }
  }
  const notSearched = [...new Set(sought.filter(isTooShort).map(({ kind }) => kind))]
  return { findings: [...findings.values()], unread, notSearched, places, bytes }
}
