import { normalizeEmail } from '../platform/email-address.ts'
import type { Execute } from '../platform/http/commands.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import { fold, type Outcome, type Request, type Runner } from '../platform/runner.ts'
import { everybody } from '../platform/viewer.ts'
import type { Claims } from './claims.ts'
import { type ContactInput, contact, createContact, isKnown, isSeen, upsertContact } from './contact.ts'
import { duplicate } from './duplicates.ts'
import { withSurvivor } from './merging.ts'

const TRIES = 5

/**
 * Updates the contact that has one of the input's e-mail addresses (or its id), or creates one.
 * Between looking and claiming another may have claimed the address: then it is looked up again, when that one has had a moment to make good its claim.
 * A repeat is about the contact of the first time, also when the addresses have moved on since.
 * @throws Refused when the addresses belong to different contacts, or the contact is archived
 */
export const upsert = (runner: Runner, claims: Claims, input: ContactInput, request: Request): Promise<Outcome> =>
  discreetly(runner, request, () => upsertAny(runner, claims, input, request))

async function upsertAny(runner: Runner, claims: Claims, { id, ...body }: ContactInput, request: Request): Promise<Outcome> {
  const addresses = (body.methods ?? []).flatMap(({ type, value }) => (type === 'email' ? (normalizeEmail(value) ?? []) : []))
  for (let attempt = 1; ; attempt += 1) {
    const target = id ?? (await claims.contactOf(addresses, request.fresh ? undefined : request.commandId))
    try {
      return await runner.execute(upsertContact, body, target ? { id: target } : {}, {
        ...request,
        fresh: request.fresh === true && !target,
      })
    } catch (error) {
      // Whose address it is may not be told, but that it is somebody's is no secret: there can be no second owner.
      if (isRefused(error, 'contact-not-found') && target && !id) throw takenBySomebody()
      const again = error instanceof Refused && error.code === 'address-taken' && !target
      if (!again || attempt === TRIES) throw error
      if (error.retryAfterSeconds !== undefined)
        await new Promise((resolve) => setTimeout(resolve, (0.5 + Math.random()) * 20 * 2 ** attempt))
    }
  }
}

/** Creates, and nothing else: a taken address or id is refused. */
export const create = (runner: Runner, input: ContactInput, request: Request): Promise<Outcome> =>
  discreetly(runner, request, () => runner.execute(createContact, input, {}, request))

const isRefused = (error: unknown, code: string): error is Refused => error instanceof Refused && error.code === code
const takenBySomebody = () =>
  new Refused('address-taken', 'One of the e-mail addresses belongs to a contact that this key does not see.', 409)

/** What was refused since the contact is part of another one names the one that lives, to whom may see it. */
export async function namingSurvivor(runner: Runner, { code, message, details }: Refused, viewer = everybody): Promise<Refused> {
  const events = await runner.load(`contact-${details['survivor']}`)
  const state = fold(contact, events)
  const { mergedInto } = isKnown(state) ? await withSurvivor(runner, state) : {}
  const survivor = mergedInto?.into ?? (details['survivor'] as string)
  const alive = fold(contact, await runner.load(`contact-${survivor}`))
  return new Refused(code, message, 409, isSeen(alive, viewer) ? { survivor } : {})
}

/** Does not name the owner of an address to whom may not see him. */
async function discreetly(runner: Runner, { viewer }: Request, work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work()
  } catch (error) {
    if (isRefused(error, 'contact-merged')) throw await namingSurvivor(runner, error, viewer)
    if (!viewer || viewer.sees === 'all' || !isRefused(error, 'address-taken') || error.details['owner'] === undefined) throw error
    const owner = fold(contact, await runner.load(`contact-${error.details['owner']}`))
    // Who is about to have it has no events yet: that it is being given away says no more than its id.
    if (isSeen(owner, viewer)) throw error
    throw takenBySomebody()
  }
}

/** Two contacts are spoken of only by who sees both. @throws Refused */
async function onlyOfSeen(
  runner: Runner,
  { contactIds }: { contactIds: string[] },
  { viewer = everybody }: Request,
  work: () => Promise<Outcome>,
) {
  for (const id of contactIds) {
    const state = fold(contact, await runner.load(`contact-${id}`))
    if (!isSeen(state, viewer)) throw new Refused('contact-not-found', 'There is no such contact.', 404)
  }
  return work()
}

/** Puts in front of the runner what a decision about one stream cannot know: whose address it is. */
export const dispatch =
  (runner: Runner, claims: Claims): Execute =>
  (command, body, params, request) => {
    if (command.decider === duplicate)
      return onlyOfSeen(runner, body as { contactIds: string[] }, request, () => runner.execute(command, body, params, request))
    if (command !== upsertContact) return discreetly(runner, request, () => runner.execute(command, body, params, request))
    const address = params['address']!
    if (!normalizeEmail(address))
      throw new Invalid([{ path: '/params/address', message: 'must be an e-mail address, like ada@example.com' }])
    const { methods = [], ...rest } = body as ContactInput
    return upsert(runner, claims, { ...rest, methods: [{ type: 'email', value: address }, ...methods] }, request)
  }
