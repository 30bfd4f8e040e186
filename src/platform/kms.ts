/**
 * A key management service: it wraps one key, the master key, which wraps all others, so it is asked once a start and not once a key. A new vendor is
 * one file with a function from settings to this, held to the contract in test/platform/kms.test.ts.
 */
export type Kms = {
  /** In words, for whom it has to be mended by. */
  readonly name: string
  /** @throws Unavailable when it cannot be reached; Fault when it refuses */
  wrap(key: Buffer): Promise<Buffer>
  /** @returns null for what was not wrapped by this key of it, or was changed since. @throws Unavailable when it cannot be reached; Fault when it refuses */
  unwrap(wrapped: Buffer): Promise<Buffer | null>
}
