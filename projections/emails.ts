import { contactEvents, type Method } from '../schema/contact-events.ts'
import { emailEvents } from '../schema/email-events.ts'
import type { RecordedEvent } from '../src/platform/event.ts'
import { computing, projection, type RowWrite, table } from '../src/platform/projection.ts'
import { remembered } from '../src/platform/remembered.ts'
import { type Headers, partiesOf } from './email-parties.ts'
import { refreshMailStatistics } from './mail-statistics.ts'
import { refreshThreads, threadTokens } from './threads.ts'

const {
  ContactCreated,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactArchived,
  ContactRestored,
  ContactMergedInto,
  ContactMerged,
  ContactUnmerged,
  ContactUnmergedFrom,
  ContactErased,
} = contactEvents
type Email = ReturnType<typeof emailEvents.EmailReceived>['data']

/**
 * What is searched of a mail. Postgres refuses a tsvector above 1 MiB, and one character may become some twenty bytes of it (a sign that stands for
 * a word, counted once in its word and once in a compound).
 */
const SEARCHED_CHARACTERS = 50_000
/** Kept beside the text: to make words of it anew for each mail that a search looks at would take longer than all else. */
const words = `tsvector generated always as (to_tsvector('smartcrm.words', "left"(about || ' ' || text, ${SEARCHED_CHARACTERS}))) stored`

/**
 * Mails, who takes part in them, how they hang together, and what of them concerns which contact. All that is joined by address is in here, contacts'
 * addresses too, because a refresh may read its own projection's tables alone.
 * `at` is a mail's date, and for a mail without one when it was recorded (`dated` is false then).
 */
export const emails = projection({
  name: 'emails',
  version: 2,
  tables: {
    emails: table(
      'emailId',
      {
        emailId: 'uuid',
        /** Seals the mail and its blobs. */
        keyId: 'uuid',
        sent: 'boolean',
        at: 'instant',
        date: 'instant',
        subject: 'text',
        preview: 'text',
        /** Everybody named in the headers, as they were written: { from, sender, replyTo, to, cc, bcc }. */
        people: 'json',
        hasAttachments: 'boolean',
        raw: 'json',
        html: 'json',
        /** What only the mail's own page shows. */
        details: 'json',
        eventId: 'uuid',
        actor: 'text',
      },
      'at, email_id',
      'has_attachments, at, email_id',
      'key_id',
    ),
    // The texts are apart, so that lists need not read over them.
    emailTexts: computing(
      table('emailId', { emailId: 'uuid', at: 'instant', about: 'text', text: 'text', textOwn: 'text' }, 'using gin (words)'),
      { words },
    ),
    emailAttachments: table(['emailId', 'attachmentId'], {
      emailId: 'uuid',
      attachmentId: 'uuid',
      place: 'integer',
      name: 'text',
      type: 'text',
      sizeBytes: 'integer',
      sha256: 'text',
      disposition: 'text',
      contentId: 'text',
    }),
    // A row an address that takes part, own ones left out. `counts`: the statistics of whose address it is count it; `topic`, `asks`: see threads.ts.
    emailParties: table(
      ['emailId', 'address'],
      {
        emailId: 'uuid',
        address: 'text',
        sent: 'boolean',
        counts: 'boolean',
        at: 'instant',
        dated: 'boolean',
        topic: 'uuid',
        asks: 'boolean',
      },
      'using btree (address, at, email_id) include (sent, counts, dated)',
      'using btree (topic, at, email_id) where topic is not null',
    ),
    threadTokens: table(['emailId', 'token'], { emailId: 'uuid', token: 'uuid' }, 'token, email_id'),
    threadMembers: table('emailId', { emailId: 'uuid', threadId: 'uuid', at: 'instant' }, 'thread_id, at, email_id'),
    threads: table(
      'threadId',
      { threadId: 'uuid', emails: 'integer', firstAt: 'instant', lastAt: 'instant', firstEmail: 'uuid', lastEmail: 'uuid' },
      'last_at, thread_id',
    ),
    addressOwners: table(['contactId', 'methodId'], { contactId: 'uuid', methodId: 'uuid', address: 'text' }, 'address, contact_id'),
    contactStates: table('contactId', { contactId: 'uuid', archived: 'boolean' }),
    mailStatistics: table(
      'contactId',
      { contactId: 'uuid', archived: 'boolean', emailsReceived: 'integer', emailsSent: 'integer', lastEmailAt: 'instant' },
      `archived, coalesce(last_email_at, timestamptz '0001-01-01 00:00:00+00'), contact_id`,
    ),
  },
  events: {
    ...emailEvents,
    ContactCreated,
    ContactMethodAdded,
    ContactMethodRemoved,
    ContactArchived,
    ContactRestored,
    ContactMergedInto,
    ContactMerged,
    ContactUnmerged,
    ContactUnmergedFrom,
    ContactErased,
  },
  on: {
    EmailReceived: (_tables, email, event) => writesOf(email, false, event),
    EmailSent: (_tables, email, event) => writesOf(email, true, event),
    EmailRemoved: (_tables, { emailId }) => removalOf(emailId),
    EmailPartiesMasked: ({ emails, emailTexts, emailParties }, { at, sent, ...email }) => [
      emails.patch({ emailId: email.emailId, people: peopleOf(email), details: detailsOf(email) }),
      emailTexts.patch({ emailId: email.emailId, about: aboutOf(email) }),
      emailParties.remove({ emailId: email.emailId }),
      ...partiesOf(email, sent).map((party) => emailParties.put(partyRow(email, sent, at, party))),
    ],
    ContactCreated: ({ contactStates }, { contactId, methods }) => [
      contactStates.put({ contactId, archived: false }),
      ...ownersOf(contactId, methods),
    ],
    ContactMethodAdded: (_tables, { contactId, method }) => ownersOf(contactId, [method]),
    ContactMethodRemoved: ({ addressOwners }, { contactId, methodId }) => [addressOwners.remove({ contactId, methodId })],
    ContactArchived: ({ contactStates }, { contactId }) => [contactStates.put({ contactId, archived: true })],
    ContactRestored: ({ contactStates }, { contactId }) => [contactStates.put({ contactId, archived: false })],
    ContactMergedInto: ({ addressOwners, contactStates }, { contactId }) => [
      contactStates.remove({ contactId }),
      addressOwners.remove({ contactId }),
    ],
    ContactMerged: (_tables, { contactId, methods }) => ownersOf(contactId, methods),
    ContactUnmerged: ({ addressOwners }, { contactId, methodIds, methods }) => [
      ...methodIds.map((methodId) => addressOwners.remove({ contactId, methodId })),
      ...ownersOf(contactId, methods),
    ],
    ContactUnmergedFrom: ({ contactStates }, { contactId, archived, methods }) => [
      contactStates.put({ contactId, archived }),
      ...ownersOf(contactId, methods),
    ],
    ContactErased: ({ addressOwners, contactStates }, { contactId }) => [
      addressOwners.remove({ contactId }),
      contactStates.remove({ contactId }),
    ],
  },
  refresh: [refreshThreads, refreshMailStatistics],
})
const { tables } = emails

const ownersOf = (contactId: string, methods: readonly Method[]): RowWrite[] =>
  methods
    .filter(({ type }) => type === 'email')
    .map(({ id, value, normalized }) => tables.addressOwners.put({ contactId, methodId: id, address: normalized ?? value.toLowerCase() }))

function removalOf(emailId: string): RowWrite[] {
  const { emails, emailTexts, emailAttachments, emailParties, threadTokens } = tables
  return [emails, emailTexts, emailAttachments, emailParties, threadTokens].map((table) => table.remove({ emailId }))
}

/** A mail's stream tells of it once, and again only after it was removed or when more was learned of it: then what is there makes way. */
function writesOf(email: Email, sent: boolean, event: RecordedEvent): RowWrite[] {
  const { emailId, subject, text, textOwn, date, attachments, raw, html } = email
  const at = date ?? event.meta.at
  return [
    ...(event.revision > 0 ? removalOf(emailId) : []),
    tables.emails.put({
      emailId,
      keyId: event.meta.key,
      sent,
      at,
      date,
      subject,
      preview: textOwn.slice(0, 2_000).replaceAll(/\s+/g, ' ').trim().slice(0, 200),
      people: peopleOf(email),
      hasAttachments: attachments.some(({ disposition }) => disposition === 'attachment'),
      raw,
      html,
      details: detailsOf(email),
      eventId: event.id,
      actor: event.meta.actor,
    }),
    tables.emailTexts.put({ emailId, at, about: aboutOf(email), text, textOwn }),
    ...attachments.map(({ id, ...attachment }, place) => tables.emailAttachments.put({ emailId, attachmentId: id, place, ...attachment })),
    ...partiesOf(email, sent).map((party) => tables.emailParties.put(partyRow(email, sent, at, party))),
    ...threadTokens(email).map((token) => tables.threadTokens.put({ emailId, token })),
  ]
}

const peopleOf = ({ from, sender, replyTo, to, cc, bcc }: Headers) => ({ from, ...(sender && { sender }), replyTo, to, cc, bcc })

const detailsOf = (email: Headers) => {
  const { source, defects, messageId, dateHeader, dateReceived, inReplyTo, references, headers, providerThreadId } = email
  const always = { source, defects, messageId, dateHeader, dateReceived, inReplyTo, references, headers }
  return providerThreadId === undefined ? always : { ...always, providerThreadId }
}

const partyRow = ({ emailId, date }: Headers, sent: boolean, at: string, party: ReturnType<typeof partiesOf>[number]) => ({
  emailId,
  sent,
  at,
  dated: date !== null,
  ...party,
})

const partsOf = remembered((text) => [text.replaceAll('@', ' '), text.replaceAll(/[^\p{L}\p{M}\p{N}]+/gu, ' ')])

/** What is searched beside the text. An address is one word for Postgres: what is before the @ and behind it, and the parts of these, are given too. */
function aboutOf({ subject, from, sender, replyTo, to, cc, bcc, attachments }: Headers): string {
  const people = [from, sender ?? [], replyTo, to, cc, bcc].flat().flatMap(({ name, address, raw }) => [name ?? '', address ?? raw ?? ''])
  const addresses = people.filter((text) => text.includes('@')).flatMap(partsOf)
  const words = [subject, ...people, ...addresses, ...attachments.map(({ name }) => name)]
  return [...new Set(words)].join(' ').slice(0, SEARCHED_CHARACTERS / 2)
}
