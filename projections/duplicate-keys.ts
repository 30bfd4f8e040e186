import type { Method } from '../schema/contact-events.ts'
import { sameness } from './shown-values.ts'
import { wordsOf } from './words.ts'

/** What those have in common who may be the same: they have a key of a kind. `company` tells only whose names are compared. */
export type Key = { readonly kind: 'phone' | 'alias' | 'profile' | 'website' | 'local' | 'name' | 'company'; readonly key: string }

/** An entry of an index holds 2,700 bytes at most. */
const MAX_CHARACTERS = 400
const cut = (text: string) => [...text].slice(0, MAX_CHARACTERS).join('')

/** Without accents. What `smartcrm.plain` does in SQL, as far as names need it here. */
const plain = (text: string) => text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase()

const legalForms = new Set(
  'ltd limited inc incorporated llc llp plc gmbh ag kg co corp corporation company sa sarl bv nv ab oy as aps srl spa the'.split(' '),
)

const wordsIn = (text: string) => wordsOf(plain(text)).map(({ word }) => word)

/** `Lovelace, Ada` is Ada Lovelace. */
export function keysOfName(name: string): Key[] {
  const key = wordsIn(name).toSorted().join(' ')
  return key === '' ? [] : [{ kind: 'name', key: cut(key) }]
}

/** `The Analytical Engines Co., Ltd.` is Analytical Engines; a company that has no other words is called by these. */
export function keysOfCompany(company: string | null | undefined): Key[] {
  const words = wordsIn(company ?? '')
  const telling = words.filter((word) => !legalForms.has(word))
  const key = (telling.length > 0 ? telling : words).join(' ')
  return key === '' ? [] : [{ kind: 'company', key: cut(key) }]
}

const gmail = new Set(['gmail.com', 'googlemail.com'])
/** Many share these, and nobody is told from another by them. */
const shared = new Set(
  'info office mail contact hello sales support service admin team kontakt buero post help hr jobs press marketing billing accounting webmaster'.split(
    ' ',
  ),
)

/** Where anybody can have an address under many endings, by the name of the domain. */
const freeMail = new Set(
  'aol fastmail gmx hotmail icloud live mail mailbox me msn outlook proton protonmail qq t-online tutanota web yahoo yandex ymail zoho'.split(
    ' ',
  ),
)

/** The name that a company has its domains by: the longest part that is no ending. `example` of `mail.example.co.uk`. */
function nameOfDomain(domain: string): string {
  const parts = domain
    .split('.')
    .slice(0, -1)
    .filter((part) => !/^(com?|org|net|ac|gov|edu)$/.test(part))
  return parts.reduce((longest, part) => (part.length >= longest.length ? part : longest), '')
}

function keysOfAddress(address: string): Key[] {
  const at = address.lastIndexOf('@')
  const domain = address.slice(at + 1)
  const [local] = address.slice(0, at).split('+') as [string]
  if (local === '') return []
  if (gmail.has(domain)) return [{ kind: 'alias', key: `${local.replaceAll('.', '')}@gmail.com` }]
  const name = nameOfDomain(domain)
  const isPersons = !freeMail.has(name) && !shared.has(local) && !/^(no-?reply|do-?not-?reply|mailer-daemon|postmaster)/.test(local)
  return [{ kind: 'alias', key: `${local}@${domain}` }, ...(isPersons ? [{ kind: 'local', key: `${local}@${name}` } as const] : [])]
}

/** What a way to reach somebody says of who he is. A site's first page is as well a company's, and says less. */
export function keysOfMethod({ type, value, normalized, raw }: Method): Key[] {
  if (type === 'email') return normalized ? keysOfAddress(normalized) : []
  // Two extensions of one number ring at two people.
  if (type === 'phone')
    return value.startsWith('+') ? [{ kind: 'phone', key: cut(value + (/(?:ext\.?|x|#)\s*(\d+)\s*$/i.exec(raw ?? '')?.[1] ?? '')) }] : []
  if (type === 'social') return [{ kind: 'profile', key: cut(sameness('socialProfiles', value)) }]
  if (type === 'url') return [{ kind: 'website', key: cut(sameness('website', value)) }]
  return []
}
