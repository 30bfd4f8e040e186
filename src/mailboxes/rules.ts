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

export const noRules: ExclusionRules = { addresses: [], domains: [], labels: [], ownDomain: false }

/** Gmail's own labels of what is no mail that somebody has sent or received: https://developers.google.com/workspace/gmail/api/guides/labels */
const never: Readonly<Record<string, Rule>> = { DRAFT: 'draft', CHAT: 'chat', SPAM: 'spam', TRASH: 'trash' }

/** What keeps a message out by its labels alone, so before it is fetched where these are known. @returns null where nothing does */
export function excludedByLabels(labels: readonly string[], rules: Pick<ExclusionRules, 'labels'>): Rule | null {
  for (const [label, rule] of Object.entries(never)) if (labels.includes(label)) return rule
  return labels.some((label) => rules.labels.includes(label)) ? 'label' : null
}

/**
 * What keeps a mail out by who takes part in it, one's own addresses aside: one of them is an excluded address, or is at an excluded domain or below it;
 * or all of them are at domains of one's own, which a provider of free mail never is. One who excludes an address wants nothing that this person sees.
 * @param own the mailbox's address and its aliases, in their normal form
 */
export function excludedByPeople(people: People, rules: ExclusionRules, own: ReadonlySet<string>): Rule | null {
  const others = new Set([...addressesOf(people)].filter((address) => !own.has(address)))
  const addresses = new Set(rules.addresses)
  const domains = new Set(rules.domains)
  for (const address of others) if (addresses.has(address)) return 'address'
  for (const address of others) if (isWithin(domainOf(address), domains)) return 'domain'
  if (!rules.ownDomain) return null
  const ownDomains = new Set([...own].map(domainOf).filter((domain) => !isFreeMail(domain)))
  const areOurs = others.size > 0 && [...others].every((address) => isWithin(domainOf(address), ownDomains))
  return areOurs ? 'own-domain' : null
}

/** The rule that keeps a message out, or null. The labels come first: they are known first. */
export const excludedBy = (
  { labels, people }: { labels: readonly string[]; people: People },
  rules: ExclusionRules,
  own: ReadonlySet<string>,
): Rule | null => excludedByLabels(labels, rules) ?? excludedByPeople(people, rules, own)

export function addressesOf({ from, sender, replyTo, to, cc, bcc }: People): Set<string> {
  const parties = [from, sender ?? [], replyTo, to, cc, bcc].flat()
  return new Set(parties.flatMap(({ address }) => (address === undefined ? [] : [address])))
}
