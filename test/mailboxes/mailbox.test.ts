import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type CreationPolicy, type ExclusionRules, type MailboxEvent, mailboxEvents } from '../../schema/mailbox-events.ts'
import {
  changeCreationPolicy,
  changeRules,
  changeVisibility,
  connectMailbox,
  disconnectMailbox,
  mailbox,
  needConsent,
  ownAddresses,
  recordAliases,
  recordLabels,
} from '../../src/mailboxes/mailbox.ts'
import { fold } from '../../src/platform/runner.ts'
import { decide, given, rules, subject } from '../support/given.ts'

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

const mailboxId = subject
const connect = { provider: 'google' as const, address: 'ada@example.com', scopes: ['read'] }
const connected = MailboxConnected({ mailboxId, owner: 'key:test', ...connect })
const byAnother = MailboxConnected({ mailboxId, owner: 'key:another', ...connect })
const lost = MailboxConsentNeeded({ mailboxId, code: 'invalid_grant' })
const left = (erase = false) => MailboxDisconnected({ mailboxId, erase })
const noRules: ExclusionRules = { addresses: [], domains: [], labels: [], ownDomain: false }
const policy: CreationPolicy = { create: 'everyone', skipFreeMail: true, blockedAddresses: [], blockedDomains: [] }

t.test('connecting', async (t) => {
  const rule = rules(t)
  rule('a mailbox is connected, and whoever does it first owns it', () => given().when(connectMailbox, connect).then(connected))
  rule('again with the same consent changes nothing', () => given(connected).when(connectMailbox, connect).thenNothing())
  rule('consent to other things is told', () =>
    given(connected)
      .when(connectMailbox, { ...connect, scopes: ['read', 'more'] })
      .then(MailboxConnected({ mailboxId, owner: 'key:test', ...connect, scopes: ['read', 'more'] })),
  )
  const wishes = { creationPolicy: { create: 'written-to' as const }, visibility: 'everything' as const }
  const wished = [
    connected,
    MailboxAliasesFound({ mailboxId, aliases: ['a@example.com', 'b@example.com'] }),
    MailboxCreationPolicyChanged({
      mailboxId,
      policy: { create: 'written-to', skipFreeMail: false, blockedAddresses: [], blockedDomains: [] },
    }),
    MailboxVisibilityChanged({ mailboxId, visibility: 'everything' }),
  ]
  const withWishes = { ...connect, aliases: ['b@example.com', 'a@example.com', 'b@example.com'], wishes }
  rule('what decides about its first mails is told with it', () =>
    given()
      .when(connectMailbox, withWishes)
      .then(...wished),
  )
  rule('and again changes nothing', () =>
    given(...wished)
      .when(connectMailbox, withWishes)
      .thenNothing(),
  )
  rule('of one that is known already nothing else is decided by connecting', () =>
    given(connected, lost)
      .when(connectMailbox, { ...connect, aliases: [], wishes })
      .then(connected),
  )
  rule('one whose consent was needed is connected again', () => given(connected, lost).when(connectMailbox, connect).then(connected))
  rule('one that was disconnected is connected again, and stays its owner’s', () =>
    given(byAnother, left(true)).when(connectMailbox, connect).then(byAnother),
  )
})

t.test('consent that is taken no longer', async (t) => {
  const rule = rules(t)
  rule('is told', () => given(connected).when(needConsent, { code: 'invalid_grant' }).then(lost))
  rule('once', () => given(connected, lost).when(needConsent, { code: 'invalid_grant' }).thenNothing())
  rule('is of no matter in one that is disconnected', () => given(connected, left()).when(needConsent, { code: 'x' }).thenNothing())
  rule('of no mailbox is refused', () => given().when(needConsent, { code: 'x' }).refused('mailbox-not-found', 404))
})

t.test('disconnecting', async (t) => {
  const rule = rules(t)
  rule('keeps the mail unless asked', () => given(connected).when(disconnectMailbox, {}).then(left()))
  rule('erases it where that is asked for', () => given(connected).when(disconnectMailbox, { erase: true }).then(left(true)))
  rule('needs no consent', () => given(connected, lost).when(disconnectMailbox, {}).then(left()))
  rule('again changes nothing', () => given(connected, left()).when(disconnectMailbox, { erase: false }).thenNothing())
  rule('again to erase, erases', () => given(connected, left()).when(disconnectMailbox, { erase: true }).then(left(true)))
  rule('what is erased stays erased', () => given(connected, left(true)).when(disconnectMailbox, {}).thenNothing())
  rule('no mailbox is refused', () => given().when(disconnectMailbox, {}).refused('mailbox-not-found', 404))
})

t.test('what the provider says of a mailbox', async (t) => {
  const rule = rules(t)
  const aliases = ['a@example.com', 'b@example.com']
  rule('its aliases, in order and once', () =>
    given(connected)
      .when(recordAliases, { aliases: ['b@example.com', 'a@example.com', 'b@example.com'] })
      .then(MailboxAliasesFound({ mailboxId, aliases })),
  )
  rule('the same aliases change nothing', () =>
    given(connected, MailboxAliasesFound({ mailboxId, aliases })).when(recordAliases, { aliases: aliases.toReversed() }).thenNothing(),
  )
  rule('none where there were none changes nothing', () => given(connected).when(recordAliases, { aliases: [] }).thenNothing())
  rule('aliases of no mailbox are refused', () => given().when(recordAliases, { aliases }).refused('mailbox-not-found', 404))
  const labels = [
    { id: 'INBOX', name: 'INBOX' },
    { id: 'L1', name: 'Engines' },
  ]
  rule('its labels, in order', () =>
    given(connected).when(recordLabels, { labels: labels.toReversed() }).then(MailboxLabelsFound({ mailboxId, labels })),
  )
  rule('the same labels change nothing', () =>
    given(connected, MailboxLabelsFound({ mailboxId, labels })).when(recordLabels, { labels }).thenNothing(),
  )
  rule('a label that was renamed is told', () => {
    const renamed = [labels[0]!, { id: 'L1', name: 'Machines' }]
    given(connected, MailboxLabelsFound({ mailboxId, labels }))
      .when(recordLabels, { labels: renamed })
      .then(MailboxLabelsFound({ mailboxId, labels: renamed }))
  })
  rule('labels of no mailbox are refused', () => given().when(recordLabels, { labels }).refused('mailbox-not-found', 404))
  rule('who mails from its address or an alias is its owner', () =>
    deepStrictEqual(
      ownAddresses(fold(mailbox, [connected, MailboxAliasesFound({ mailboxId, aliases })])),
      new Set(['ada@example.com', ...aliases]),
    ),
  )
})

t.test('rules of exclusion', async (t) => {
  const rule = rules(t)
  const body = {
    addresses: ['Press@Example.org', 'press@example.org'],
    domains: ['*.Bank.example', 'a.example'],
    labels: ['L2', 'L1'],
    ownDomain: true,
  }
  const changed = { addresses: ['press@example.org'], domains: ['a.example', 'bank.example'], labels: ['L1', 'L2'], ownDomain: true }
  rule('are stored in their normal form', () =>
    given(connected)
      .when(changeRules, body)
      .then(MailboxRulesChanged({ mailboxId, rules: changed })),
  )
  rule('that are the same change nothing', () =>
    given(connected, MailboxRulesChanged({ mailboxId, rules: changed }))
      .when(changeRules, body)
      .thenNothing(),
  )
  rule('that are none change nothing in a new mailbox', () => given(connected).when(changeRules, noRules).thenNothing())
  rule('can be changed while consent is needed, and before connecting again', () => {
    for (const state of [lost, left()])
      given(connected, state)
        .when(changeRules, body)
        .then(MailboxRulesChanged({ mailboxId, rules: changed }))
  })
  rule('of no mailbox are refused', () => given().when(changeRules, body).refused('mailbox-not-found', 404))
  rule('name everything that is no address or domain', () =>
    deepStrictEqual(
      changeRules.faults!({ addresses: ['ok@example.org', 'nobody', 7], domains: ['a@b.example', 'example'], labels: [''] }),
      [
        { path: '/addresses/1', message: 'must be an e-mail address, like ada@example.com' },
        { path: '/domains/0', message: 'must be a domain, like example.com' },
        { path: '/domains/1', message: 'must be a domain, like example.com' },
      ],
    ),
  )
  rule('bear any body', () =>
    fc.assert(
      fc.property(fc.anything(), (body) => Array.isArray(changeRules.faults!(body)) && Array.isArray(changeCreationPolicy.faults!(body))),
    ),
  )
})

t.test('of whom contacts are made', async (t) => {
  const rule = rules(t)
  const body = { ...policy, blockedAddresses: ['Kay@Example.org'], blockedDomains: ['@example.net'] }
  const changed = { ...policy, blockedAddresses: ['kay@example.org'], blockedDomains: ['example.net'] }
  rule('is stored in its normal form', () =>
    given(connected)
      .when(changeCreationPolicy, body)
      .then(MailboxCreationPolicyChanged({ mailboxId, policy: changed })),
  )
  rule('the same again changes nothing', () =>
    given(connected, MailboxCreationPolicyChanged({ mailboxId, policy: changed }))
      .when(changeCreationPolicy, body)
      .thenNothing(),
  )
  rule('of nobody, unless somebody says so', () =>
    given(connected)
      .when(changeCreationPolicy, { ...policy, create: 'none', skipFreeMail: false })
      .thenNothing(),
  )
  rule('no mailbox is refused', () => given().when(changeCreationPolicy, policy).refused('mailbox-not-found', 404))
})

t.test('what others see', async (t) => {
  const rule = rules(t)
  const shared = MailboxVisibilityChanged({ mailboxId, visibility: 'everything' })
  rule('its owner says', () => given(connected).when(changeVisibility, { visibility: 'everything' }).then(shared))
  rule('and takes back', () =>
    given(connected, shared)
      .when(changeVisibility, { visibility: 'metadata' })
      .then(MailboxVisibilityChanged({ mailboxId, visibility: 'metadata' })),
  )
  rule('the same again changes nothing', () => given(connected, shared).when(changeVisibility, { visibility: 'everything' }).thenNothing())
  rule('is metadata alone as long as he has said nothing', () =>
    given(connected).when(changeVisibility, { visibility: 'metadata' }).thenNothing(),
  )
  rule('nobody else says', () => given(byAnother).when(changeVisibility, { visibility: 'everything' }).refused('not-owner', 403))
  rule('of no mailbox is refused', () => given().when(changeVisibility, { visibility: 'subject' }).refused('mailbox-not-found', 404))
})

t.test('every command that has changed something changes nothing when it is repeated', async (t) => {
  const bodies = [
    [connectMailbox, connect],
    [needConsent, { code: 'x' }],
    [disconnectMailbox, { erase: true }],
    [recordAliases, { aliases: ['b@example.com'] }],
    [changeRules, { ...noRules, ownDomain: true }],
    [changeCreationPolicy, policy],
    [changeVisibility, { visibility: 'subject' as const }],
  ] as const
  type Step = (typeof bodies)[number]
  const after = (events: readonly MailboxEvent[], [command, body]: Step): readonly MailboxEvent[] => {
    const decided = decide(command as never, body as never, events)
    return decided instanceof Error ? events : events.concat(decided as MailboxEvent[])
  }
  const one = fc.constantFrom(...bodies)
  fc.assert(
    fc.property(fc.array(one, { maxLength: 12 }), one, (history, step) => {
      const events = after(history.reduce(after, [connected]), step)
      return after(events, step).length === events.length
    }),
  )
  t.pass('for any history')
})
