import { Value } from '@sinclair/typebox/value'
import fc from 'fast-check'
import t from 'tap'
import type { Party } from '../../schema/email.ts'
import { emailEvents } from '../../schema/email-events.ts'
import { addressesIn, concealParties, everybodyIn, maskParties } from '../../src/emails/mask.ts'
import { email as mail } from '../projections/mail.ts'

const ADA = 'ada.canary@example.com'
const isAda = (address: string) => address === ADA
const empty = { ...mail('a mail'), from: [], replyTo: [], to: [], cc: [], bcc: [], headers: {} }

t.test('of whoever was erased neither address nor name is left, and the others stay', async (t) => {
  const bea: Party = { address: 'bea@example.com', name: 'Bea' }
  const masked = maskParties(
    {
      ...empty,
      date: null,
      from: [{ address: ADA, name: 'Ada Canary', raw: 'ADA.Canary@Example.com' }],
      sender: { address: 'list@example.net', name: 'ada canary ' },
      replyTo: [{ raw: 'Ada <ada.canary@EXAMPLE.com' }],
      to: [bea, { address: 'carl@example.com', name: `'${ADA}'` }],
      headers: { returnPath: `<${ADA}>`, listId: '<engines.example.net>' },
    },
    isAda,
  )
  t.match(masked, {
    from: [{ erased: true }],
    sender: { address: 'list@example.net' },
    replyTo: [{ erased: true }],
    to: [bea, { address: 'carl@example.com' }],
    headers: { listId: '<engines.example.net>' },
  })
  t.notMatch(JSON.stringify(masked), /\bada\b/i)
  t.strictSame(addressesIn(masked), ['bea@example.com', 'carl@example.com', 'list@example.net'])
  t.strictSame([...Value.Errors(emailEvents.EmailReceived.schema, masked)], [], 'and it is a mail still')
})

t.test('a mail in which nobody was erased is the very same', async (t) => {
  const one = { ...empty, from: [{ address: 'bea@example.com', name: 'Ada Canary' }] }
  t.equal(maskParties(one, isAda), one)
})

/** The address in all the ways in which a header may have it. */
const spelling = fc.constantFrom(
  ADA,
  ADA.toUpperCase(),
  ' Ada.Canary@Example.COM',
  `<${ADA}>`,
  `Ada <${ADA}>`,
  `"${ADA}"`,
  `mailto:x, ${ADA};`,
)
const other = fc.record(
  {
    address: fc.constantFrom('bea@example.com', 'carl@example.com'),
    name: fc.constantFrom('Bea', 'Carl'),
    raw: fc.constantFrom('BEA@example.com'),
  },
  { requiredKeys: ['address'] },
)
const ada: fc.Arbitrary<Party> = fc.oneof(
  fc.record({ address: fc.constant(ADA), name: fc.constant('Ada Canary'), raw: spelling }, { requiredKeys: ['address'] }),
  fc.record({ raw: spelling }),
  fc.record({ address: fc.constant('list@example.net'), name: spelling, raw: spelling }, { requiredKeys: ['address'] }),
)
const parties = fc.array(fc.oneof(other, ada), { maxLength: 4 })

t.test('whatever the mail, the address is nowhere in what is read of it but in its texts', async (t) => {
  const conceal = concealParties({ isEmpty: () => false, has: isAda })
  fc.assert(
    fc.property(
      fc.record({ from: parties, replyTo: parties, to: parties, cc: parties, bcc: parties, sender: fc.option(ada, { nil: undefined }) }),
      fc.dictionary(fc.constantFrom('returnPath', 'listId', 'listUnsubscribe'), spelling),
      fc.constantFrom('EmailReceived', 'EmailSent', 'EmailPartiesMasked'),
      (people, headers, type) => {
        const { sender, ...lists } = people
        const data = { ...empty, ...lists, ...(sender && { sender }), headers, text: `It is ${ADA}.` }
        const { text, ...rest } = conceal({ type, data, position: { commit: 1n, prepare: 1n } }) as typeof data
        if (text !== data.text || /ada\.canary/i.test(JSON.stringify(rest))) return false
        const others = everybodyIn(data).filter(({ address }) => address && !isAda(address))
        const left = everybodyIn(rest as typeof data).flatMap(({ address }) => address ?? [])
        return JSON.stringify(others.map(({ address }) => address)) === JSON.stringify(left)
      },
    ),
  )
  t.pass('it holds')
})
