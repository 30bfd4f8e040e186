import type { Party } from '../../schema/email.ts'
import type { ExclusionRules } from '../../schema/mailbox-events.ts'
import { domainOf, isFreeMail, isWithin } from './addresses.ts'

/** Who is named in a mail's headers. */
export type People = {
  readonly from: readonly Party[]
  readonly sender?: Party
  readonly replyTo: readonly Party[]
  readonly to: readonly Party[]
  readonly cc: readonly Party[]
  readonly bcc: readonly Party[]
}

/** Why a message stays out, as it stands in its outcome (SyncOutcome in schema/sync-events.ts). */
export type Rule = 'draft' | 'chat' | 'spam' | 'trash' | 'label' | 'address' | 'domain' | 'own-domain'

/** @property by what of the rule it was: the address, domain or label that is excluded */
export type Exclusion = { readonly rule: Rule; readonly by?: string }

export const noRules: ExclusionRules = { addresses: [], domains: [], labels: [], ownDomain: false }

/** Gmail's own labels of what is no mail that somebody has sent or received: https://developers.google.com/workspace/gmail/api/guides/labels */
const never: Readonly<Record<string, Rule>> = { DRAFT: 'draft', CHAT: 'chat', SPAM: 'spam', TRASH: 'trash' }

/** What keeps a message out by its labels alone, so before it is fetched where these are known. @returns null where nothing does */
export function excludedByLabels(labels: readonly string[], rules: Pick<ExclusionRules, 'labels'>): Exclusion | null {
  for (const [label, rule] of Object.entries(never)) if (labels.includes(label)) return { rule }
  const by = labels.find((label) => rules.labels.includes(label))
  return by === undefined ? null : { rule: 'label', by }
}

/**
 * What keeps a mail out by who takes part in it, one's own addresses aside: one of them is an excluded address, or is at an excluded domain or below it;
 * or all of them are at domains of one's own, which a provider of free mail never is. One who excludes an address wants nothing that this person sees.
 * @param own the mailbox's address and its aliases, in their normal form
 */
export function excludedByPeople(people: People, rules: ExclusionRules, own: ReadonlySet<string>): Exclusion | null {
  return excludedByAddresses(addressesOf(people), rules, own)
}

/** The same of the addresses of everybody who takes part, in their normal form. */
export function excludedByAddresses(everybody: Iterable<string>, rules: ExclusionRules, own: ReadonlySet<string>): Exclusion | null {
  const others = [...new Set(everybody)].filter((address) => !own.has(address))
  const address = others.find((address) => rules.addresses.includes(address))
  if (address !== undefined) return { rule: 'address', by: address }
  const domain = rules.domains.find((domain) => others.some((address) => isWithin(domainOf(address), new Set([domain]))))
  if (domain !== undefined) return { rule: 'domain', by: domain }
  if (!rules.ownDomain) return null
  const ownDomains = new Set([...own].map(domainOf).filter((domain) => !isFreeMail(domain)))
  const areOurs = others.length > 0 && others.every((address) => isWithin(domainOf(address), ownDomains))
  return areOurs ? { rule: 'own-domain' } : null
}

/** What keeps a message out, or null. The labels come first: they are known first. */
export const excludedBy = (
  { labels, people }: { labels: readonly string[]; people: People },
  rules: ExclusionRules,
  own: ReadonlySet<string>,
): Exclusion | null => excludedByLabels(labels, rules) ?? excludedByPeople(people, rules, own)

export function addressesOf({ from, sender, replyTo, to, cc, bcc }: People): Set<string> {
  const parties = [from, sender ?? [], replyTo, to, cc, bcc].flat()
  return new Set(parties.flatMap(({ address }) => (address === undefined ? [] : [address])))
}
