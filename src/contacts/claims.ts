import { createHmac, createSecretKey } from 'node:crypto'
import { type ClaimEvent, claimEvents } from '../../schema/claim-events.ts'
import type { NewEvent } from '../../schema/define.ts'
import type { Cause, Codec } from '../platform/codec.ts'
import { decider } from '../platform/decider.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { type EventStore, WrongExpectedRevision } from '../platform/event-store.ts'
import { Refused, Unavailable } from '../platform/refusal.ts'
import { fold, type Guard, headOf } from '../platform/runner.ts'
import { addressesAmong, addressesOf, contact, isKnown } from './contact.ts'
import { standingOf } from './merged-state.ts'

const { AddressClaimed, AddressReleased } = claimEvents
/** For how long a claim keeps others off before its owner's stream holds the address. Processes' clocks must agree to within a few seconds. */
export const HOLD_MS = 30_000
/** For how long a command that repeats itself relies on the claim that it made before: HOLD_MS less what it then still takes. */
const RELIED_ON_MS = 5_000
const TRIES = 5

/** @property suppressedBy whose erasure keeps everybody from it */
type Claim = { holder: null; suppressedBy?: string } | { holder: string; commandId: string }

export const claim = decider<Claim, typeof claimEvents>(
  'claim',
  claimEvents,
  { holder: null },
  {
    AddressClaimed: (_, { contactId, commandId }) => ({ holder: contactId, commandId }),
    AddressReleased: (state, { contactId }) => (state.holder === contactId ? { holder: null } : state),
    AddressSuppressed: (_, { contactId }) => ({ holder: null, suppressedBy: contactId }),
    AddressSuppressionLifted: () => ({ holder: null }),
  },
)

export type Claims = Guard & {
  /**
   * The contact that has one of these addresses (in their normal form; the first that is taken decides), or null.
   * @param commandId of a command that may be a repeat: then the contact that it was carried out on, even if the addresses have moved on since
   * @throws Unavailable
   */
  contactOf(addresses: readonly string[], commandId?: string): Promise<string | null>
}

/**
 * One owner for an e-mail address: a claim on the address's own stream comes before the contact's events, a release after them.
 * A claim that its owner's stream never made good (a crash in between) is void after 30 s, so a crash blocks nobody for longer.
 * @param load gives a stream's events, decoded
 * @param secret keys the HMAC that names the streams: no address can be guessed from a stream's name
 */
export function createClaims(store: EventStore, codec: Codec, load: (stream: string) => Promise<RecordedEvent[]>, secret: Buffer): Claims {
  const key = createSecretKey(secret)
  const streamOf = (address: string) => `claim-${createHmac('sha256', key).update(address).digest('hex')}`
  const stateOf = (events: readonly RecordedEvent[]) => fold(claim, events)

  const holderOf = (contactId: string, address: string) => holderIn(load, contactId, address)

  /** Appends what `decide` gives at the folded revision, and on a conflict decides again. The first try takes the address for new, which it mostly is. */
  const write = async (
    address: string,
    cause: Cause,
    assumeNew: boolean,
    decide: (events: RecordedEvent[]) => Promise<ClaimEvent | null>,
  ) => {
    const stream = streamOf(address)
    for (let attempt = 1; ; attempt += 1) {
      const events = assumeNew && attempt === 1 ? [] : await load(stream)
      const event = await decide(events)
      if (!event) return
      const head = headOf(events)
      try {
        await store.append(stream, head.revision, await codec.encode([event], stream, head, cause))
        return
      } catch (error) {
        if (!(error instanceof WrongExpectedRevision)) throw error
        if (attempt === TRIES) throw new Unavailable('Others keep claiming the same address.', { cause: error, retryAfterSeconds: 1 })
      }
    }
  }

  /** Refuses what another contact has, or may be about to have. @returns whether the contact has it already, or this very command claimed it just now */
  const has = async (address: string, events: readonly RecordedEvent[], { contactId, byMerge }: Holder, cause: Cause): Promise<boolean> => {
    const state = stateOf(events)
    if (state.holder === null && state.suppressedBy !== undefined) throw suppressed(address)
    if (state.holder === null) return false
    const ageMs = Date.parse(cause.at) - Date.parse(events.at(-1)!.meta.at)
    const holder = await holderOf(state.holder, address)
    if (holder) {
      if (holder.contactId !== contactId) throw taken(address, holder.contactId, true, ageMs)
      if (holder.byMerge && holder.byMerge !== byMerge) throw beingMerged()
      return true
    }
    if (state.holder !== contactId) {
      if (ageMs < HOLD_MS) throw taken(address, state.holder, false, ageMs)
      return false
    }
    // The same command, sent several times at once: they would take the claim from each other in turn.
    return state.commandId === cause.commandId && ageMs >= 0 && ageMs < RELIED_ON_MS
  }

  const take = (address: string, by: Holder, cause: Cause) =>
    write(address, cause, true, async (events) =>
      (await has(address, events, by, cause)) ? null : AddressClaimed({ contactId: by.contactId, commandId: cause.commandId }),
    )

  const release = (address: string, contactId: string, cause: Cause) =>
    write(address, cause, false, async (events) => {
      const state = stateOf(events)
      if (state.holder !== contactId) return null
      // Read after the claim. Another command may be adding the address again: its claim is one whose command is not in the stream yet.
      const owner = await load(`contact-${contactId}`)
      const used = owner.some(({ meta }) => meta.commandId === state.commandId)
      return used && !heldBy(owner).includes(address) ? AddressReleased({ contactId }) : null
    })

  return {
    // Well below HOLD_MS: what is left is for the append itself.
    holdsMs: HOLD_MS / 2,
    async before(events, { id }, cause) {
      const addresses = taking(events)
      const merge = events.find(({ type }) => type === 'ContactMerged')?.data as { mergeId: string } | undefined
      const by = { contactId: id, ...(merge && { byMerge: merge.mergeId }) }
      // All are looked at before the first is claimed: a refused command had better leave no claim behind that holds others off.
      if (addresses.length > 1) for (const address of addresses) await has(address, await load(streamOf(address)), by, cause)
      for (const address of addresses) await take(address, by, cause)
    },
    /** A release that fails harms nobody: a claim that its owner's stream does not hold can be taken over. So it never fails the command. */
    async after(events, { id }, cause) {
      if (!events.some(({ type }) => type === 'ContactMethodRemoved')) return
      try {
        const stream = await load(`contact-${id}`)
        const before = fold(
          contact,
          stream.filter(({ meta }) => meta.commandId !== cause.commandId),
        )
        const kept = heldBy(stream)
        for (const address of addressesOf(before)) if (!kept.includes(address)) await release(address, id, cause)
      } catch {}
    },
    async contactOf(addresses, commandId) {
      const claims = await Promise.all(addresses.map((address) => load(streamOf(address))))
      const loaded = new Map<string, Promise<RecordedEvent[]>>()
      const eventsOf = (id: string) => {
        const events = loaded.get(id) ?? load(`contact-${id}`)
        loaded.set(id, events)
        return events
      }
      if (commandId !== undefined) {
        const holders = new Set(claims.flat().map(({ data }) => (data as ClaimEvent['data']).contactId))
        for (const id of holders) if ((await eventsOf(id)).some(({ meta }) => meta.commandId === commandId)) return id
      }
      for (const [index, address] of addresses.entries()) {
        const { holder: claimant } = stateOf(claims[index]!)
        const holder = claimant === null ? null : await holderOf(claimant, address)
        if (holder?.byMerge) throw beingMerged()
        if (holder) return holder.contactId
      }
      return null
    },
  }
}

/**
 * Who has an address that a contact claimed: that contact, or the one that it is part of by now. So a claim needs no other one when contacts are
 * merged, nor when they are unmerged, and there is no moment in between that a crash could make last. Null: nobody.
 */
export async function holderIn(
  load: (stream: string) => Promise<RecordedEvent[]>,
  contactId: string,
  address: string,
): Promise<Holder | null> {
  const events = await load(`contact-${contactId}`)
  if (events.some(({ erased }) => erased)) return null
  const state = fold(contact, events)
  if (!isKnown(state)) return null
  const { mergedInto, methods } = state
  const own = addressesAmong(methods).includes(address) ? { contactId } : null
  if (!mergedInto) return own
  const standing = standingOf(await load(`contact-${mergedInto.into}`), mergedInto.mergeId)
  if (standing === 'merged') return holderIn(load, mergedInto.into, address)
  return own && standing === 'begun' ? { contactId: mergedInto.into, byMerge: mergedInto.mergeId } : own
}

/** Who has an address. @property byMerge it is his by a merge that is under way: of what he is about to take */
type Holder = { readonly contactId: string; readonly byMerge?: string }

const beingMerged = () =>
  new Unavailable('Who has this address is being merged with another contact at this moment.', { retryAfterSeconds: 1 })

/** The addresses of the contact whose events these are. One that was erased has none. */
export const heldBy = (events: readonly RecordedEvent[]): string[] =>
  events.some(({ erased }) => erased) ? [] : addressesOf(fold(contact, events))

/** The addresses that these events give to a contact; in one order for all, or two who want the same ones would each get one. */
function taking(events: readonly NewEvent[]): string[] {
  return addressesOf(fold(contact, [{ type: 'ContactCreated', data: { name: '', methods: [] } }, ...events])).sort()
}

const suppressed = (address: string) =>
  new Refused(
    'address-suppressed',
    `Whoever had ${address} was erased, and it is not to come back. To use it again, lift that: POST /v1/suppressions/lift.`,
    409,
    { address },
  )

function taken(address: string, owner: string, fulfilled: boolean, ageMs: number): Refused {
  if (fulfilled) return new Refused('address-taken', `${address} belongs to another contact.`, 409, { owner, address })
  const waitSeconds = Math.max(1, Math.ceil((HOLD_MS - ageMs) / 1000))
  return new Refused('address-taken', `${address} is being given to another contact at this moment.`, 409, { owner, address }, waitSeconds)
}
