import { type Static, Type } from '@sinclair/typebox'
import { Id } from './shared.ts'

/**
 * Somebody named in a header of a mail. `address` is the normal form, which is what is compared and joined, and is left out where what was written
 * is no address; `raw` is what was written, where that differs from `address`.
 */
export const Party = Type.Object({
  address: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  raw: Type.Optional(Type.String()),
  /** Who it was has been erased: nothing else is left of the entry. */
  erased: Type.Optional(Type.Literal(true)),
})
export type Party = Static<typeof Party>

/** Bytes in the blob store, named by the SHA-256 of what they are before they are sealed. */
export const BlobReference = Type.Object({
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  sizeBytes: Type.Integer({ minimum: 0 }),
})
export type BlobReference = Static<typeof BlobReference>

/**
 * A part of a mail that is not its text. `name` is never empty (made from the type where the mail gives none) and holds no folder;
 * `contentId` is what `cid:` addresses in the HTML name, without its brackets.
 */
export const Attachment = Type.Object({
  id: Id,
  name: Type.String(),
  type: Type.String(),
  sizeBytes: Type.Integer({ minimum: 0 }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  disposition: Type.Union([Type.Literal('attachment'), Type.Literal('inline')]),
  contentId: Type.Optional(Type.String()),
})
export type Attachment = Static<typeof Attachment>

/** Headers by which automated senders are told from people, as they were written. */
export const PolicyHeaders = Type.Object({
  listUnsubscribe: Type.Optional(Type.String()),
  listId: Type.Optional(Type.String()),
  precedence: Type.Optional(Type.String()),
  autoSubmitted: Type.Optional(Type.String()),
  returnPath: Type.Optional(Type.String()),
})
export type PolicyHeaders = Static<typeof PolicyHeaders>
