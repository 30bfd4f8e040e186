/**
 * Where sealed blobs are kept: it sees names and ciphertext. A kind of place is one file, held to one contract (test/platform/blobs.test.ts).
 *
 * A name is `<key id>/<name>-<time>-<random>`: made for one writing, so that **no name is ever written twice**, nor comes back once it is gone.
 * Hence who removes a name can only remove what was looked at, whatever anybody puts meanwhile.
 */
export type BlobStore = {
  /** Where contents are sealed into before they are stored; for a store in a folder, on its disk. */
  readonly spool: string
  /**
   * Takes a finished, synced file of the spool in: whole, or not at all, and there after a power cut as soon as it resolves.
   * @returns whether the file was used up; else the caller removes it
   * @throws Unavailable
   */
  store(name: string, file: string, sizeBytes: number): Promise<boolean>
  /** Gives what `from` holds another name without moving the bytes. @returns false when that cannot be done, for example because `from` is gone */
  copy(from: string, to: string): Promise<boolean>
  /** Sees to it that what somebody else stored is there after a power cut. */
  settle(name: string): Promise<void>
  /** The bytes from `start` to before `end`, or as many as there are, and how many there are in all; null when there is no such name. */
  read(name: string, start: number, end: number): Promise<{ bytes: Buffer; sizeBytes: number } | null>
  /** All names that begin with the prefix, in order: '' or one that begins with a whole key id and '/'. May hold what is none of ours. */
  list(prefix: string): AsyncIterable<string>
  /** Is content when it is gone already. */
  remove(name: string): Promise<void>
  /** @throws Fault when the settings are wrong; Unavailable when it cannot be reached */
  check(): Promise<void>
  close(): void
}
