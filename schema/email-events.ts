import { Type } from '@sinclair/typebox'
import { type EventOf, events, personal } from './define.ts'
import { Attachment, BlobReference, Party, PolicyHeaders } from './email.ts'
import { Id, Instant, nullable } from './shared.ts'

// Stored for ever: a field may be added as optional, never renamed or retyped.
const email = {
  emailId: Id,
  /** Where it came from: `import:<id>`, `mailbox:<id>`. */
  source: Type.String(),
  /** What was wrong with it, as codes that never change their meaning (src/emails/parse/defects.ts lists them). Nothing is refused for them. */
  defects: Type.Array(Type.String()),
  messageId: personal(Type.Optional(Type.String())),
  from: personal(Type.Array(Party)),
  sender: personal(Type.Optional(Party)),
  replyTo: personal(Type.Array(Party)),
  to: personal(Type.Array(Party)),
  cc: personal(Type.Array(Party)),
  bcc: personal(Type.Array(Party)),
  subject: personal(Type.String()),
  /** The whole text, made from the HTML where there is no other; '' where there is none. Cut where `defects` says so: the raw mail has all of it. */
  text: personal(Type.String()),
  /** The text without quotes and signature. */
  textOwn: personal(Type.String()),
  /** The HTML after everything active or remote was taken out. */
  html: personal(nullable(BlobReference)),
  /** The mail as it came. */
  raw: personal(BlobReference),
  /** What we go by: the Date header, or what stands in for it where that is missing or absurd; null where nothing says when. */
  date: personal(nullable(Instant)),
  /** The Date header as it was written. */
  dateHeader: personal(nullable(Type.String())),
  /** When the server that was last on the way received it. */
  dateReceived: personal(nullable(Instant)),
  /** Message ids with their angle brackets. */
  inReplyTo: personal(Type.Array(Type.String())),
  references: personal(Type.Array(Type.String())),
  attachments: personal(Type.Array(Attachment)),
  headers: personal(PolicyHeaders),
  providerThreadId: personal(Type.Optional(Type.String())),
}

const { text: _text, textOwn: _own, html: _html, raw: _raw, ...masked } = email

export const emailEvents = events({
  EmailReceived: email,
  /** The same, of a mail that one of our own addresses sent. */
  EmailSent: email,
  /** Taken away again, for example because its import was undone: a code such as `import-undone`. */
  EmailRemoved: { emailId: Id, reason: Type.String() },
  /**
   * Somebody who takes part in it was erased: all but the texts as it is without him. `at`: what the mail stands at in lists, its date or when it was
   * recorded. Tables are written anew by it; who reads the log from its beginning never saw him (src/emails/mask.ts).
   */
  EmailPartiesMasked: { ...masked, sent: Type.Boolean(), at: Instant },
})
export type EmailEvent = EventOf<typeof emailEvents>
