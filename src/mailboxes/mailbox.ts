import { type Static, Type } from '@sinclair/typebox'
import { MailboxCreationPolicy, MailboxRules } from '../../schema/mailbox.ts'
import { type CreationPolicy, type ExclusionRules, Label, mailboxEvents, Visibility } from '../../schema/mailbox-events.ts'
import { command, decider, internalCommand } from '../platform/decider.ts'
import { normalizeEmail } from '../platform/email-address.ts'
import { type Fault, Refused } from '../platform/refusal.ts'
import { normalizeDomain } from './addresses.ts'
import { noPeople } from './people.ts'
import { noRules } from './rules.ts'

const {
  MailboxConnected,
  MailboxConsentNeeded,
  MailboxDisconnected,
  MailboxAliasesFound,
  MailboxLabelsFound,
  MailboxRulesChanged,
  MailboxCreationPolicyChanged,
  MailboxVisibilityChanged,
} = mailboxEvents

/** @property isErased it was disconnected, and what it alone had brought is to be erased */
type Known = {
  status: 'connected' | 'consent-needed' | 'disconnected'
  address: string
  owner: string | null
  scopes: readonly string[]
  isErased: boolean
  aliases: readonly string[]
  labels: readonly Label[]
  rules: ExclusionRules
  policy: CreationPolicy
  visibility: Visibility
}
export type Mailbox = { status: 'unknown' } | Known

/** What others see of a mailbox of which its owner has said nothing: sharing is for him to do. */
export const firstVisibility: Visibility = 'metadata'

const change = (mailbox: Mailbox, to: Partial<Known>): Mailbox => (mailbox.status === 'unknown' ? mailbox : { ...mailbox, ...to })
const fresh = { owner: null, aliases: [], labels: [], rules: noRules, policy: noPeople, visibility: firstVisibility }

export const mailbox = decider<Mailbox, typeof mailboxEvents>(
  'mailbox',
  mailboxEvents,
  { status: 'unknown' },
  {
    MailboxConnected: (state, { address, scopes, owner }) => {
      const known = state.status === 'unknown' ? fresh : state
      return { ...known, status: 'connected', address, scopes, owner: known.owner ?? owner ?? null, isErased: false }
    },
    MailboxConsentNeeded: (state) => change(state, { status: 'consent-needed' }),
    MailboxDisconnected: (state, { erase }) => change(state, { status: 'disconnected', isErased: erase }),
    MailboxAliasesFound: (state, { aliases }) => change(state, { aliases }),
    MailboxLabelsFound: (state, { labels }) => change(state, { labels }),
    MailboxRulesChanged: (state, { rules }) => change(state, { rules }),
    MailboxCreationPolicyChanged: (state, { policy }) => change(state, { policy }),
    MailboxVisibilityChanged: (state, { visibility }) => change(state, { visibility }),
  },
)

/** Its address and its aliases: who mails from one of these is its owner. */
export const ownAddresses = (state: Mailbox): ReadonlySet<string> =>
  new Set(state.status === 'unknown' ? [] : [state.address, ...state.aliases])

const strict = { additionalProperties: false }

function known(state: Mailbox): Known {
  if (state.status === 'unknown') throw new Refused('mailbox-not-found', 'There is no such mailbox.', 404)
  return state
}

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

/** What can be said of a mailbox before there is one, with the request to connect it. */
export const Wishes = Type.Object(
  {
    creationPolicy: Type.Optional(
      Type.Object(
        { create: MailboxCreationPolicy.properties.create, skipFreeMail: Type.Optional(MailboxCreationPolicy.properties.skipFreeMail) },
        strict,
      ),
    ),
    visibility: Type.Optional({ ...Visibility, description: 'What others than you see of its mails; `metadata` unless said.' }),
  },
  strict,
)
export type Wishes = Static<typeof Wishes>

/**
 * Consent was given: by a person who came back from the provider with a code that it took. What decides about its mails is told with it, in one append:
 * the fetching begins at once. The wishes count for a mailbox that is new.
 */
export const connectMailbox = internalCommand(mailbox, 'connect', {
  body: Type.Object(
    {
      provider: Type.Literal('google'),
      address: Type.String(),
      scopes: Type.Array(Type.String()),
      aliases: Type.Optional(Type.Array(Type.String())),
      wishes: Type.Optional(Wishes),
    },
    strict,
  ),
  decide: ({ provider, address, scopes, aliases, wishes = {} }, state, { id, actor }) => {
    const isThere = state.status === 'connected' && isSame(state.scopes, scopes)
    const isNew = state.status === 'unknown'
    const owner = isNew ? actor : (state.owner ?? actor)
    const { visibility = firstVisibility, creationPolicy } = wishes
    const policy = { ...noPeople, ...creationPolicy }
    return [
      ...(isThere ? [] : [MailboxConnected({ mailboxId: id, owner, provider, address, scopes })]),
      ...aliasesFound(id, isNew ? [] : state.aliases, aliases),
      ...(isNew && !isSame(policy, noPeople) ? [MailboxCreationPolicyChanged({ mailboxId: id, policy })] : []),
      ...(isNew && visibility !== firstVisibility ? [MailboxVisibilityChanged({ mailboxId: id, visibility })] : []),
    ]
  },
})

/** @param found undefined where nobody has looked */
function aliasesFound(mailboxId: string, known: readonly string[], found: readonly string[] | undefined) {
  const aliases = [...new Set(found)].sort()
  return found === undefined || isSame(known, aliases) ? [] : [MailboxAliasesFound({ mailboxId, aliases })]
}

/** The provider takes our token no longer. */
export const needConsent = internalCommand(mailbox, 'need-consent', {
  body: Type.Object({ code: Type.String() }, strict),
  decide: ({ code }, state, { id }) => (known(state).status === 'connected' ? [MailboxConsentNeeded({ mailboxId: id, code })] : []),
})

export const recordAliases = internalCommand(mailbox, 'aliases', {
  body: Type.Object({ aliases: Type.Array(Type.String()) }, strict),
  decide: ({ aliases }, state, { id }) => aliasesFound(id, known(state).aliases, aliases),
})

export const recordLabels = internalCommand(mailbox, 'labels', {
  body: Type.Object({ labels: Type.Array(Label) }, strict),
  decide: ({ labels }, state, { id }) => {
    const sorted = labels.map(({ id, name }) => ({ id, name })).sort((a, b) => (a.id < b.id ? -1 : 1))
    return isSame(known(state).labels, sorted) ? [] : [MailboxLabelsFound({ mailboxId: id, labels: sorted })]
  },
})

type Normalize = (text: string) => string | null
const normalized = (texts: readonly string[], normalize: Normalize) => [...new Set(texts.map((text) => normalize(text)!))].sort()

/** What is wrong with the entries of lists of addresses and domains. */
function faultsOfLists(body: unknown, lists: Readonly<Record<string, Normalize>>): Fault[] {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  return Object.entries(lists).flatMap(([name, normalize]) => {
    const texts = Array.isArray(fields[name]) ? (fields[name] as unknown[]) : []
    const message = normalize === normalizeEmail ? 'must be an e-mail address, like ada@example.com' : 'must be a domain, like example.com'
    return texts.flatMap((text, index) =>
      typeof text === 'string' && normalize(text) === null ? [{ path: `/${name}/${index}`, message }] : [],
    )
  })
}

/** Rules as they are stored: each entry in its normal form, once, in order. @param rules without faults */
export const normalizedRules = ({ addresses, domains, labels, ownDomain }: Static<typeof MailboxRules>): ExclusionRules => ({
  addresses: normalized(addresses, normalizeEmail),
  domains: normalized(domains, normalizeDomain),
  labels: [...new Set(labels)].sort(),
  ownDomain,
})

export const changeRules = command(mailbox, {
  operationId: 'changeMailboxRules',
  method: 'PUT',
  path: '/mailboxes/{id}/rules',
  summary: 'Say whose mail stays out. What is here already and now stays out is taken away; what may come now is fetched',
  body: Type.Object(MailboxRules.properties, strict),
  faults: (body) => faultsOfLists(body, { addresses: normalizeEmail, domains: normalizeDomain }),
  decide: (body, state, { id }) => {
    const rules = normalizedRules(body)
    return isSame(known(state).rules, rules) ? [] : [MailboxRulesChanged({ mailboxId: id, rules })]
  },
})

export const changeCreationPolicy = command(mailbox, {
  operationId: 'changeMailboxCreationPolicy',
  method: 'PUT',
  path: '/mailboxes/{id}/creation-policy',
  summary: 'Say of whom contacts are made by themselves, from the next mail on',
  body: Type.Object(MailboxCreationPolicy.properties, strict),
  faults: (body) => faultsOfLists(body, { blockedAddresses: normalizeEmail, blockedDomains: normalizeDomain }),
  decide: ({ create, skipFreeMail, blockedAddresses, blockedDomains }, state, { id }) => {
    const policy = {
      create,
      skipFreeMail,
      blockedAddresses: normalized(blockedAddresses, normalizeEmail),
      blockedDomains: normalized(blockedDomains, normalizeDomain),
    }
    return isSame(known(state).policy, policy) ? [] : [MailboxCreationPolicyChanged({ mailboxId: id, policy })]
  },
})

export const changeVisibility = command(mailbox, {
  operationId: 'changeMailboxVisibility',
  method: 'PUT',
  path: '/mailboxes/{id}/visibility',
  summary: 'Say what others than its owner see of a mailbox’s mails; only its owner may',
  body: Type.Object({ visibility: Visibility }, { ...strict, examples: [{ visibility: 'subject' }] }),
  decide: ({ visibility }, state, { id, actor }) => {
    const { owner, visibility: before } = known(state)
    if (owner !== actor) throw new Refused('not-owner', 'Only who connected the mailbox first says what others see of it.', 403)
    return visibility === before ? [] : [MailboxVisibilityChanged({ mailboxId: id, visibility })]
  },
})

export const disconnectMailbox = command(mailbox, {
  operationId: 'disconnectMailbox',
  method: 'POST',
  path: '/mailboxes/{id}/disconnect',
  summary: 'Fetch nothing more and give the consent back; with `erase`, also erase for good what no other mailbox or import brought',
  body: Type.Object({ erase: Type.Optional(Type.Boolean({ default: false })) }, { ...strict, examples: [{ erase: true }] }),
  decide: ({ erase = false }, state, { id }) => {
    const { status, isErased } = known(state)
    const isDone = status === 'disconnected' && (isErased || !erase)
    return isDone ? [] : [MailboxDisconnected({ mailboxId: id, erase })]
  },
})
