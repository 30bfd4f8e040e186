import { Type } from '@sinclair/typebox'
import { claimEvents } from '../../schema/claim-events.ts'
import { Id, nullable } from '../../schema/shared.ts'
import type { Concealed } from '../platform/concealed.ts'
import { type Command, internalCommand } from '../platform/decider.ts'
import { Unavailable } from '../platform/refusal.ts'
import { fold, type Outcome, type Runner } from '../platform/runner.ts'
import { claim, HOLD_MS, holderIn } from './claims.ts'

const { AddressSuppressed, AddressSuppressionLifted } = claimEvents
const strict = { additionalProperties: false }

/** Keeps everybody from an address whose owner was erased. @property body.keptBy another contact that has it by now: then it stays his */
export const suppressAddress = internalCommand(claim, 'suppress', {
  body: Type.Object({ contactIds: Type.Array(Id, { minItems: 1 }), keptBy: nullable(Id) }, strict),
  decide: ({ contactIds, keptBy }, state) => {
    if (state.holder === null && state.suppressedBy !== undefined) return []
    if (state.holder !== null && state.holder === keptBy) return []
    return [AddressSuppressed({ contactId: contactIds[0]! })]
  },
})

/** Lets an address be used again. What was written while it was suppressed stays masked. */
export const liftSuppression = internalCommand(claim, 'lift', {
  body: Type.Object({}, strict),
  decide: (_, state) =>
    state.holder === null && state.suppressedBy !== undefined ? [AddressSuppressionLifted({ contactId: state.suppressedBy })] : [],
})

type Needs = { readonly runner: Pick<Runner, 'load'>; readonly concealed: Concealed }
type Execute = (index: string, command: Command, body: object, params: { id: string }) => Promise<Outcome>

/**
 * Suppresses an address of contacts that are being erased, and masks it in every mail that is read from here on. One that another contact has by
 * now is left alone.
 * @param address in its normal form
 * @returns whether it is suppressed
 * @throws Unavailable while somebody is just about to get it
 */
export async function suppress(needs: Needs, address: string, contactIds: readonly string[], execute: Execute): Promise<boolean> {
  const { runner, concealed } = needs
  const digest = concealed.digestOf(address)
  const events = await runner.load(`claim-${digest}`)
  const { holder } = fold(claim, events)
  const isAnothers = holder !== null && !contactIds.includes(holder)
  // Where whoever claimed it is part of another by now, that one has it.
  const now = isAnothers ? await holderIn(runner.load, holder, address) : null
  const keptBy = now && !contactIds.includes(now.contactId) ? holder : null
  const ageMs = Date.now() - Date.parse(events.at(-1)?.meta.at ?? '')
  if (isAnothers && keptBy === null && ageMs < HOLD_MS)
    throw new Unavailable('The address is being given to another contact at this moment.', { retryAfterSeconds: 5 })
  await execute(`suppress ${digest}`, suppressAddress, { contactIds, keptBy }, { id: digest })
  return keepConcealed(needs, digest)
}

/**
 * Brings what is masked in mails in line with an address's stream, which is the truth. Should whoever changed that be killed before he comes to this, the
 * reactor `conceal-on-suppressed` has it done.
 * @returns whether the address is suppressed
 */
export async function keepConcealed({ runner, concealed }: Needs, digest: string): Promise<boolean> {
  const events = await runner.load(`claim-${digest}`)
  const last = events.findLast(({ type }) => type === AddressSuppressed.type || type === AddressSuppressionLifted.type)
  if (!last) return false
  const isLifted = last.type === AddressSuppressionLifted.type
  await concealed.put({ digest, revision: last.revision, until: isLifted ? last.position : null })
  return !isLifted
}
