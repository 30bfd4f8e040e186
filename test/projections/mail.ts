import type { Party } from '../../schema/email.ts'
import { type EmailEvent, emailEvents } from '../../schema/email-events.ts'
import { idOf } from './recorded.ts'

export type Email = ReturnType<typeof emailEvents.EmailReceived>['data']
type Given = Partial<Omit<Email, 'emailId' | 'from' | 'to' | 'cc' | 'bcc' | 'replyTo'>> &
  Partial<Record<'from' | 'to' | 'cc' | 'bcc' | 'replyTo', string | string[]>>

/** A person in a header: `Ada <ada@example.com>`, or the address alone. */
export function party(text: string): Party {
  const [, name, address] = /^(.*?)\s*<(.*)>$/.exec(text) ?? [null, '', text]
  return { ...(address && { address }), ...(name && { name }) }
}
const parties = (given: string | string[] | undefined) => [given ?? []].flat().map(party)

/** A mail with an id made of its name, in which only what matters is said. */
export function email(name: string, { from, to, cc, bcc, replyTo, ...given }: Given = {}): Email {
  const text = given.text ?? `The text of ${name}.`
  return {
    emailId: idOf(name),
    source: 'import:test',
    defects: [],
    messageId: `<${name}@mail.example>`,
    from: parties(from ?? 'ada@example.com'),
    replyTo: parties(replyTo),
    to: parties(to ?? 'me@own.example'),
    cc: parties(cc),
    bcc: parties(bcc),
    subject: `About ${name}`,
    text,
    textOwn: text,
    html: null,
    raw: { sha256: 'a'.repeat(64), sizeBytes: 1_000 },
    date: '2026-01-01T12:00:00.000Z',
    dateHeader: null,
    dateReceived: null,
    inReplyTo: [],
    references: [],
    attachments: [],
    headers: {},
    ...given,
  }
}

export const received = (name: string, given: Given = {}): EmailEvent => emailEvents.EmailReceived(email(name, given))
export const sent = (name: string, given: Given = {}): EmailEvent =>
  emailEvents.EmailSent(email(name, { from: 'me@own.example', to: 'ada@example.com', ...given }))
export const removed = (name: string): EmailEvent => emailEvents.EmailRemoved({ emailId: idOf(name), reason: 'import-undone' })
