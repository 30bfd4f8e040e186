import { createHash } from 'node:crypto'
import { isSigned } from '../platform/erasure/receipt.ts'

/** As it is given out: what is signed, and beside it the mails that it stands for by a digest. */
type Given = { receipt: { stays?: { emailsSha256?: string } }; emailIds: string[]; signature: string; signedBy: string }

const isGiven = (value: unknown): value is Given => {
  const { receipt, emailIds, signature, signedBy } = (value ?? {}) as Partial<Record<keyof Given, unknown>>
  const isWhole = typeof receipt === 'object' && receipt !== null && Array.isArray(emailIds)
  return isWhole && typeof signature === 'string' && typeof signedBy === 'string' && emailIds.every((id) => typeof id === 'string')
}

/** SHA-256, in hex, of ids in order, each followed by a line feed. */
export const digestOf = (ids: readonly string[]): string =>
  createHash('sha256')
    .update(ids.map((id) => `${id}\n`).join(''))
    .digest('hex')

/**
 * Checks a receipt as it was given out.
 * @param publicKey of the service, had from elsewhere than the receipt
 * @returns what is wrong with it, in words; null when nothing is
 */
export function faultOfReceipt(given: unknown, publicKey: string): string | null {
  if (!isGiven(given)) return 'This is no receipt of an erasure with a signature.'
  if (given.signedBy !== publicKey && !isSigned(given.receipt, given.signature, publicKey))
    return 'It is signed by another key: that of another service, or one from before its vault was restored.'
  if (!isSigned(given.receipt, given.signature, publicKey)) return 'It was changed after it was signed.'
  if (given.receipt.stays?.emailsSha256 !== digestOf(given.emailIds)) return 'Its list of mails is not the one that was signed.'
  return null
}
