import type { Party, PolicyHeaders } from '../../schema/email.ts'
import type { CreationPolicy } from '../../schema/mailbox-events.ts'
import { domainOf, isFreeMail, isWithin } from './addresses.ts'
import type { People } from './rules.ts'

/** What of a mail decides of whom contacts are made. */
export type PeopleOfMail = People & { readonly sent: boolean; readonly headers: PolicyHeaders }

export type Person = { readonly name: string; readonly address: string }

export type Considered = {
  readonly policy: CreationPolicy
  /** The mailbox's own address and its aliases, and those of all other mailboxes, in their normal form. */
  readonly own: ReadonlySet<string>
  /** Whether somebody was erased, so that mail must not bring the address back. */
  readonly isSuppressed?: (address: string) => boolean
}

export const noPeople: CreationPolicy = { create: 'none', skipFreeMail: false, blockedAddresses: [], blockedDomains: [] }

/**
 * Of whom contacts are to be made after a mail was stored, each address once. Whether somebody has the address already is not asked here: then its
 * claim says no (src/contacts/claims.ts), also where the contact is archived, which so is not revived.
 */
export function contactsToCreate(mail: PeopleOfMail, { policy, own, isSuppressed = () => false }: Considered): Person[] {
  if (policy.create === 'none' || isAutomated(mail.headers)) return []
  const { from, to, cc, bcc, sent } = mail
  const recipients = [...to, ...cc, ...bcc]
  if (policy.create === 'written-to' && !sent) return []
  const blocked = { addresses: new Set(policy.blockedAddresses), domains: new Set(policy.blockedDomains) }
  const isWanted = (address: string) =>
    !own.has(address) &&
    !isNobody(address) &&
    !blocked.addresses.has(address) &&
    !isWithin(domainOf(address), blocked.domains) &&
    !(policy.skipFreeMail && isFreeMail(domainOf(address))) &&
    !isSuppressed(address)
  const people = new Map<string, Person>()
  for (const party of sent ? recipients : [...from, ...recipients]) {
    const { address } = party
    if (address === undefined || !isWanted(address)) continue
    const known = people.get(address)
    if (!known || (party.name !== undefined && !known.name)) people.set(address, { address, name: givenName(party) })
  }
  return [...people.values()].map(({ address, name }) => ({ address, name: name || nameFrom(address) }))
}

/**
 * Whether no person has written this to these people: lists and newsletters (RFC 2919, RFC 2369, RFC 8058), bulk mail (`Precedence`, which no RFC
 * defines and all use), answers by themselves (RFC 3834 §5), reports of mail servers (RFC 5321 §4.5.5: an empty Return-Path).
 */
export function isAutomated({ listUnsubscribe, listId, precedence, autoSubmitted, returnPath }: PolicyHeaders): boolean {
  if (listUnsubscribe !== undefined || listId !== undefined) return true
  if (/^\s*(bulk|list|junk)\b/i.test(precedence ?? '')) return true
  if (autoSubmitted !== undefined && !/^\s*no\s*(;|\(|$)/i.test(autoSubmitted)) return true
  return /^\s*<\s*>\s*$/.test(returnPath ?? '')
}

const word =
  '(?:do[-_.]?)?no[-_.]?t?[-_.]?reply|mailer[-_.]?daemon|postmaster|bounces?|auto[-_.]?(?:reply|responder|mailer)|unsubscribe|listserv|majordomo'
const alone = new RegExp(`^(?:${word})(?:[-+_.=\\d].*)?$`)
const atEnd = new RegExp(`[-+_.](?:${word})$`)

/** Whether nobody reads what is sent to this address, by its name: `no-reply`, `mailer-daemon`, and such. */
export function isNobody(address: string): boolean {
  const local = address.slice(0, address.lastIndexOf('@'))
  return alone.test(local) || atEnd.test(local)
}

const MAX_CHARACTERS = 200

/** The name as the header gives it, in the order in which it is said; '' where it gives none. */
function givenName({ name = '', address = '' }: Party): string {
  const plain = name
    .replaceAll(/["“”<>]/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .replace(/^'(.*)'$/, '$1')
    .trim()
  // An address in the name's place says nothing more, and another one may be there to deceive.
  if (plain.includes('@') || plain.toLowerCase() === address || !/\p{L}/u.test(plain)) return ''
  const [, family, given] = /^(\p{L}[\p{L}\p{M}'’ -]*), (\p{L}[\p{L}\p{M}'’. -]*)$/u.exec(plain) ?? []
  const said =
    family && given && !/^(inc|ltd|llc|llp|gmbh|ag|corp|co|s\.?a|plc|jr|sr|phd|md|mba|esq)\b/i.test(given) ? `${given} ${family}` : plain
  return [...said].slice(0, MAX_CHARACTERS).join('').trim()
}

/** `grace.hopper+crm@example.com` → Grace Hopper; what has no letters stays as it is. */
export function nameFrom(address: string): string {
  const [local] = address.slice(0, address.lastIndexOf('@')).split('+') as [string]
  const words = local
    .split(/[._-]+/)
    .map((part) => part.replaceAll(/\d+$/g, ''))
    .filter((part) => /\p{L}/u.test(part))
  const name = words.map((part) => part.replace(/^./u, (first) => first.toUpperCase())).join(' ')
  return name || address
}
