import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import type { Method } from '../../schema/contact-events.ts'
import type { SourceKind } from '../../schema/enrichment.ts'
import type { FetchedPage, SourceReference } from '../../schema/enrichment-events.ts'
import { isFreeMail } from '../mailboxes/addresses.ts'

/** What is known of a contact that may be told to a vendor. */
export type Person = {
  readonly name: string
  readonly company: string | null
  readonly methods: readonly Pick<Method, 'type' | 'value' | 'normalized'>[]
}

/** A mail of the history, as the tables have it. */
export type HistoryMail = {
  readonly emailId: string
  readonly sent: boolean
  readonly at: string
  readonly subject: string
  readonly textOwn: string
  /** Everybody's addresses in it, in their normal form. */
  readonly addresses: readonly string[]
}

/**
 * What may not leave the house.
 * @property visibilityOf how much of a mail may be seen by anybody but its owner (a mailbox's rule)
 * @property isHidden whether an address is one of an erased or suppressed person
 */
export type Discretion = {
  readonly visibilityOf: (mail: HistoryMail) => 'everything' | 'subject' | 'metadata'
  readonly isHidden: (address: string) => boolean
}
export const noDiscretion: Discretion = { visibilityOf: () => 'everything', isHidden: () => false }

export type Source = SourceReference & { readonly title?: string; readonly text: string }
export type Material = {
  readonly person: { readonly name: string; readonly company: string | null }
  readonly sources: readonly Source[]
  /** The kinds of things that are in it, for audit. */
  readonly sent: readonly string[]
}

const MAX_ADDRESSES = 3
const MAX_PAGES = 6
const MAX_MAILS = 10
const MAX_PAGE_CHARACTERS = 12_000
const MAX_MAIL_CHARACTERS = 2_000
/** Of all texts together. */
const MAX_CHARACTERS = 60_000

/**
 * The addresses that an actor is asked to read: what people gave as the contact's pages, and the site of its mail domain. Never what an enrichment found.
 * Private and local ones are never asked for.
 */
export function addressesToRead({ methods }: Person): string[] {
  const given = methods.filter(({ type }) => type === 'url' || type === 'social').map(({ value }) => publicAddress(value))
  const sites = methods.flatMap(({ type, normalized }) => {
    const domain = type === 'email' ? normalized?.split('@')[1] : undefined
    return domain && !isFreeMail(domain) ? [publicAddress(`https://${domain}/`)] : []
  })
  return [...new Set([...given, ...sites].filter((address) => address !== null))].slice(0, MAX_ADDRESSES)
}

/** An address on the public web in its normal form; null for any other: other schemes, credentials, bare names, private and local addresses. */
export function publicAddress(text: string): string | null {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:/i.test(text) ? text : `https://${text}`)
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.password || text.length > 2_000) return null
  const host = url.hostname.toLowerCase().replace(/\.$/, '')
  // Whoever means a public site names it; an address in numbers may be anybody's.
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0 || !host.includes('.')) return null
  if (/(^|\.)(localhost|local|internal|intranet|lan|home|corp|test|invalid|onion|arpa|localdomain)$/.test(host)) return null
  url.hash = ''
  return url.href
}

/** The kind of page that an address is: of a person's profile, or of a company. */
export function kindOfPage(url: string): SourceKind {
  const host = URL.parse(url)?.hostname ?? ''
  return /(^|\.)(linkedin|xing|github|gitlab|twitter|x|facebook|instagram|mastodon|bsky|about|researchgate|orcid)\.(com|org|social|app|me)$/.test(
    host,
  )
    ? 'profile-page'
    : 'company-page'
}

/**
 * What a model is given: of the contact no more than name and company, the pages, and the newest mails of its history. Of a mail that is marked so its
 * subject alone, or nothing; nothing of a mail in which somebody takes part who was erased or suppressed. Addresses of others are left out of texts.
 * Pure: the same is sent for the same.
 */
export function choose(
  person: Person,
  pages: readonly FetchedPage[],
  mails: readonly HistoryMail[],
  { visibilityOf, isHidden }: Discretion = noDiscretion,
): Material {
  const own = new Set(person.methods.flatMap(({ normalized }) => normalized ?? []))
  const ofPages = pages.slice(0, MAX_PAGES).map((page) => ({
    kind: kindOfPage(page.url),
    url: page.url,
    readAt: page.fetchedAt,
    ...(page.title && { title: plain(page.title).slice(0, 200) }),
    text: withoutOthers(plain(page.text), own).slice(0, MAX_PAGE_CHARACTERS),
  }))
  const ofMails = mails
    .filter((mail) => !mail.addresses.some(isHidden) && visibilityOf(mail) !== 'metadata')
    .slice(0, MAX_MAILS)
    .map((mail) => ({
      kind: 'mail' as const,
      emailId: mail.emailId,
      readAt: mail.at,
      title: withoutOthers(plain(mail.subject), own).slice(0, 200),
      text: visibilityOf(mail) === 'subject' ? '' : withoutOthers(plain(mail.textOwn), own).slice(0, MAX_MAIL_CHARACTERS),
    }))
  let left = MAX_CHARACTERS
  const sources = [...ofPages, ...ofMails].flatMap((source, index): Source[] => {
    const text = source.text.slice(0, left)
    left -= text.length
    return text === '' && !source.title ? [] : [{ ...source, id: `s${index + 1}`, text }]
  })
  const mailTexts = sources.some(({ kind, text }) => kind === 'mail' && text !== '')
  const sent = [
    'name',
    ...(person.company ? ['company'] : []),
    ...(sources.some(({ kind }) => kind !== 'mail') ? ['page'] : []),
    ...(sources.some(({ kind, title }) => kind === 'mail' && title) ? ['mail-subject'] : []),
    ...(mailTexts ? ['mail-text'] : []),
  ]
  return { person: { name: person.name, company: person.company }, sources, sent }
}

/** Text alone: no control characters, none that turn the direction of writing or are not seen. */
export const plain = (text: string): string =>
  text
    .toWellFormed()
    .normalize('NFC')
    .replaceAll(/(?![\n\t])[\p{Cc}\p{Cf}\p{Co}]/gu, ' ')
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim()

const ADDRESS = /[\p{L}\p{N}._%+'-]{1,64}@[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63}){1,8}/gu
const withoutOthers = (text: string, own: ReadonlySet<string>): string =>
  text.replaceAll(ADDRESS, (address) => (own.has(address.toLowerCase()) ? address : '[address]'))

/** Of all that is sent, for audit: the same for the same. */
export const contentHash = (content: unknown): string => createHash('sha256').update(JSON.stringify(content)).digest('hex')
