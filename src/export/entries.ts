import { shownTo } from '../../projections/audit.ts'
import { allEnrichmentsOf } from '../../projections/enrichment-queries.ts'
import { queries } from '../../projections/index.ts'
import type { Contact } from '../../schema/contact.ts'
import type { EmailSummary } from '../../schema/email-resources.ts'
import type { ContactEnrichment } from '../../schema/enrichment.ts'
import { causesOf } from '../contacts/causes.ts'
import { historyOf } from '../contacts/past.ts'
import type { Caller } from '../platform/api-keys.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { ZipEntry, ZippedFile } from '../platform/zip.ts'
import type { Services } from '../services.ts'
import { emailFile } from './email-file.ts'
import { vcardOf } from './vcard.ts'

/** @property events the contact's, none erased @property position what the tables have come to, as text */
export type Wanted = {
  readonly contactId: string
  readonly events: readonly RecordedEvent[]
  readonly caller: Caller
  readonly operation: string
  readonly requestId: string
  readonly position: string
  readonly at: Date
}

/** What each part takes beside the export itself. */
const parts = { enrichment: 'enrichment:read', mails: 'emails:read', shown: 'audit:read' } as const
type Params = Record<string, unknown>
/** How many mails are looked at together. */
const PAGE = 200

/**
 * All that is known of a person, file by file, as the one who asks may see it; last a manifest that names them all, and what was left out. That each mail
 * is shown is in the log before its first byte is given out.
 */
export async function* entriesOf(services: Services, wanted: Wanted, files: readonly ZippedFile[]): AsyncGenerator<ZipEntry> {
  const { contactId, caller, events, at, position } = wanted
  const { pool } = services
  const may = (permission: string) => caller.permissions.has(permission)
  const ask = async <T>(operationId: string, params: Params, query: Params = {}): Promise<T> => {
    const { run } = queries.find((one) => one.operationId === operationId)!
    return (await run(pool, { params, query, viewer: caller.viewer, actor: caller.actor })) as T
  }
  async function* pages<T>(operationId: string, params: Params, query: Params = {}): AsyncGenerator<T[]> {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page: { data: T[]; nextCursor: string | null } | null = await ask(operationId, params, {
        ...query,
        limit: PAGE,
        ...(cursor && { cursor }),
      })
      if (page) yield page.data
      cursor = page?.nextCursor ?? null
    }
  }
  const ofMails = () => pages<EmailSummary>('listContactEmails', { id: contactId }, { sort: 'date' })
  const counts: Record<string, number> = {}
  const counted = async function* <T>(what: string, all: AsyncIterable<readonly T[]>) {
    counts[what] = 0
    for await (const some of all) {
      counts[what] += some.length
      yield some
    }
  }

  const contact = await ask<Contact>('getContact', { id: contactId })
  const past = async (id: string, events: readonly RecordedEvent[]) => historyOf(events, id, await causesOf(services.pool, events))
  const { data: history } = await past(contactId, events)
  const merged = await Promise.all(
    (contact.merged ?? []).map(async (id) => ({ id, ...(await past(id, await services.runner.load(`contact-${id}`))) })),
  )
  const notes = [...history, ...merged.flatMap(({ data }) => data)]
    .toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    // One that an undo took away, or brought back, is told as it stands by now.
    .filter(
      ({ type, data }, place, all) =>
        type === 'NoteAdded' && all.findLastIndex((other) => other.data['noteId'] === data['noteId']) === place,
    )
    .map(({ at, actor, data }) => ({ id: data['noteId'], text: data['text'] as string, at, actor }))
  Object.assign(counts, { methods: contact.methods.length, notes: notes.length, events: history.length })
  yield json('contact.json', { ...contact, notes })
  const jobTitle = contact.enriched?.jobTitle
  const card = { ...contact, jobTitle: jobTitle?.by === 'person' ? jobTitle.value : undefined, notes: notes.map(({ text }) => text) }
  yield { path: 'contact.vcf', content: [vcardOf(card)] }
  yield json('history.json', history)
  for (const { id, data } of merged) yield json(`merged/${id}/history.json`, data)

  if (may(parts.enrichment)) {
    const enrichment = await ask<ContactEnrichment>('getContactEnrichment', { id: contactId })
    const requests = await allEnrichmentsOf(pool, contactId)
    Object.assign(counts, { values: enrichment.values.length, enrichments: requests.length })
    yield json('enrichment.json', { ...enrichment, requests })
  }

  /** Of each mail the file that it is in. */
  const mails = new Map<string, string | null>()
  if (may(parts.mails)) {
    for await (const page of ofMails()) {
      const whole = page.filter(({ visibility }) => visibility === undefined)
      await Promise.all(whole.map(({ id }) => services.reads.record(readOf(wanted, `email-${id}`))))
      for (const summary of page) {
        const { id, date, visibility } = summary
        const said = date === null ? {} : { at: new Date(date) }
        const file = visibility === undefined ? await emailFile(services, id) : await ask<object>('getEmail', { id })
        // It was taken away while it was listed.
        if (!file) continue
        const path = visibility === undefined ? `emails/${id}.eml` : `emails/${id}.json`
        mails.set(id, path)
        yield visibility === undefined ? { path, content: file as AsyncIterable<Uint8Array>, ...said } : { ...json(path, file), ...said }
      }
    }
    counts['emails'] = mails.size
    counts['emailsNotWhole'] = mails
      .values()
      .filter((path) => path?.endsWith('.json'))
      .toArray().length
    const listed = async function* () {
      for await (const page of ofMails()) yield page.flatMap((mail) => (mails.has(mail.id) ? [{ ...mail, file: mails.get(mail.id) }] : []))
    }
    yield { path: 'emails.json', content: jsonList(listed()) }
    yield { path: 'threads.json', content: jsonList(counted('threads', pages('listThreads', {}, { contact: contactId }))) }
  }

  if (may(parts.shown)) {
    const resources = [`contact-${contactId}`, ...[...mails.keys()].map((id) => `email-${id}`)]
    const shown = async function* () {
      for (let from = 0; from < resources.length; from += PAGE) yield await shownTo(pool, resources.slice(from, from + PAGE))
    }
    yield { path: 'shown.json', content: jsonList(counted('reads', shown())) }
  }

  const leftOut = Object.entries(parts).flatMap(([what, needs]) => (may(needs) ? [] : [{ what, needs }]))
  yield json('manifest.json', { contactId, exportedAt: at.toISOString(), by: caller.actor, position, counts, leftOut, files })
}

const readOf = ({ caller, operation, requestId }: Wanted, resource: string) => ({ actor: caller.actor, operation, resource, requestId })

const json = (path: string, value: unknown): ZipEntry => ({ path, content: [`${JSON.stringify(value, null, 2)}\n`] })

/** A list of any length, written as it comes. */
async function* jsonList(pages: AsyncIterable<readonly unknown[]>): AsyncGenerator<string> {
  let before = '[\n'
  for await (const page of pages) {
    if (page.length === 0) continue
    yield before + page.map((item) => JSON.stringify(item)).join(',\n')
    before = ',\n'
  }
  yield before === '[\n' ? '[]\n' : '\n]\n'
}
