import type { Party } from '../schema/email.ts'
import type { emailEvents } from '../schema/email-events.ts'
import { topicOf } from './threads.ts'

/** All of a mail but its texts and where they are. */
export type Headers = Omit<ReturnType<typeof emailEvents.EmailReceived>['data'], 'text' | 'textOwn' | 'html' | 'raw'>

/**
 * Who takes part, by address: From, Sender, Reply-To, To, Cc, Bcc without one's own addresses. Of a mail that we sent, those who sent it are our own.
 * Of a received one, our own are among the recipients until settings name them; they count for nobody there, and nothing else asks who we are.
 * What counts for a contact: a received mail that it stands behind (From, Sender, Reply-To), and a sent one that it was to get (To, Cc, Bcc).
 */
export function partiesOf(email: Headers, sent: boolean) {
  const { from, sender, replyTo, to, cc, bcc } = email
  const senders = addressesOf(from, sender ? [sender] : [])
  const authors = addressesOf(from, sender ? [sender] : [], replyTo)
  const recipients = addressesOf(to, cc, bcc)
  const own = sent ? senders : new Set<string>()
  const counted = sent ? recipients : authors
  const parties = [...authors.union(recipients)].filter((address) => !own.has(address))
  const topic = topicOf(email)
  return parties.map((address) => ({
    address,
    counts: counted.has(address),
    topic: topic.of(address),
    asks: topic.asks && (sent ? recipients : addressesOf(from)).has(address),
  }))
}

/** More is no address (RFC 5321 §4.5.3.1), and an entry of an index holds 2,700 bytes at most. */
const MAX_ADDRESS = 320
const addressesOf = (...parties: Party[][]): Set<string> =>
  new Set(parties.flat().flatMap(({ address }) => (address && address.length <= MAX_ADDRESS ? [address] : [])))
