import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { contactEvents } from '../../schema/contact-events.ts'
import { archiveContact, restoreContact } from '../../src/contacts/archive.ts'
import { createClaims } from '../../src/contacts/claims.ts'
import { addContactMethod, addressesOf, contact, removeContactMethod } from '../../src/contacts/contact.ts'
import { create, upsert } from '../../src/contacts/upsert.ts'
import type { Cause } from '../../src/platform/codec.ts'
import type { Context } from '../../src/platform/decider.ts'
import { Refused, Unavailable } from '../../src/platform/refusal.ts'
import { createRunner, fold, type Guard, type Request } from '../../src/platform/runner.ts'
import { uuidv5 } from '../../src/platform/uuid.ts'
import { everybody } from '../../src/platform/viewer.ts'
import type { Services } from '../../src/services.ts'
import { refusalOf, request, testServices, underClock } from '../support/services.ts'

const { open } = await testServices(t)
const here = await open()
const there = await open()
const { runner, claims } = here

const address = () => `${randomUUID()}@example.com`
const email = (value: string) => ({ type: 'email' as const, value })
const input = (...addresses: string[]) => ({ name: 'Ada', methods: addresses.map(email) })
const owner = (of: string) => claims.contactOf([of])
const later = (seconds: number) => underClock(here, () => new Date(Date.now() + seconds * 1_000))
const add = (id: string, value: string, by: Pick<Services, 'runner'> = here) =>
  by.runner.execute(addContactMethod, email(value), { id }, request())
async function remove(id: string, value: string, by: Pick<Services, 'runner'> = here) {
  const state = fold(contact, await by.runner.load(`contact-${id}`))
  const method = !('methods' in state) ? undefined : state.methods.find(({ normalized }) => normalized === value)
  return by.runner.execute(removeContactMethod, {}, { id, methodId: method!.id }, request())
}

const causeOf = ({ actor, commandId, request }: Request, at: string): Cause => ({
  at,
  actor,
  commandId,
  request,
  $correlationId: '',
  $causationId: '',
})
const contextOf = (id: string, { commandId }: Request): Context => ({
  id,
  params: {},
  actor: 'key:test',
  viewer: everybody,
  commandId,
  now: new Date().toISOString(),
  newId: () => randomUUID(),
})
const added = (contactId: string, value: string) =>
  contactEvents.ContactMethodAdded({ contactId, method: { id: randomUUID(), type: 'email', value, normalized: value } })

/** Claims for a contact that is then not created: its process died in between. @returns the command, for its repeat */
async function crashBetween(value: string) {
  const asked = request()
  // The id that the runner gives to what this command creates.
  const contactId = uuidv5('0', asked.commandId)
  const context = contextOf(contactId, asked)
  await claims.before([added(contactId, value)], context, causeOf(asked, context.now))
  return { asked, contactId }
}

t.test('of ten who create a contact with one address, one does; the others are told who', async (t) => {
  const mine = address()
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, n) => create((n % 2 ? here : there).runner, input(n % 3 ? mine : mine.toUpperCase()), request())),
  )
  const done = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  t.equal(done.length, 1)
  const refusals = results.flatMap((result) => (result.status === 'rejected' ? result.reason : []))
  for (const refusal of refusals) t.match(refusal, { code: 'address-taken', status: 409, details: { owner: done[0]!.id, address: mine } })
  t.equal(await owner(mine), done[0]!.id)
})

t.test('of ten who create or update by one address, one creates and all are about it', async (t) => {
  const mine = address()
  const outcomes = await Promise.all(
    Array.from({ length: 10 }, (_, n) => {
      const by = n % 2 ? here : there
      return upsert(by.runner, by.claims, input(mine), request())
    }),
  )
  t.equal(new Set(outcomes.map(({ id }) => id)).size, 1)
  t.equal(outcomes.filter(({ status }) => status === 201).length, 1)
  t.equal((await runner.load(`contact-${outcomes[0]!.id}`)).length, 1)
})

t.test('after a crash between claim and create', async (t) => {
  t.test('another is refused, and told for how long', async (t) => {
    const mine = address()
    const { contactId } = await crashBetween(mine)
    const refusal = await refusalOf(create(runner, input(mine), request()))
    t.match(refusal, { code: 'address-taken', status: 409, details: { owner: contactId } })
    t.ok(refusal.retryAfterSeconds! > 20 && refusal.retryAfterSeconds! <= 30, String(refusal.retryAfterSeconds))
    t.match(await refusalOf(create(later(25).runner, input(mine), request())), { retryAfterSeconds: Number })
    t.equal(await owner(mine), null, 'nobody has it yet')

    const taker = await create(later(31).runner, input(mine), request())
    t.equal(await owner(mine), taker.id, 'after 30 s another takes it over')
    t.match(await refusalOf(create(runner, input(mine), request())), { details: { owner: taker.id }, retryAfterSeconds: undefined })
  })

  t.test('the same command goes through at once', async (t) => {
    const mine = address()
    const { asked, contactId } = await crashBetween(mine)
    const outcome = await create(runner, input(mine), asked)
    t.match(outcome, { status: 201, id: contactId, repeated: false })
    t.equal(await owner(mine), contactId)
  })

  t.test('so does an upsert, and late too', async (t) => {
    const mine = address()
    const { asked, contactId } = await crashBetween(mine)
    const by = later(100)
    t.match(await upsert(by.runner, by.claims, input(mine), asked), { status: 201, id: contactId })
  })

  t.test('whoever comes back after it was taken over is refused', async (t) => {
    const mine = address()
    const { asked } = await crashBetween(mine)
    const taker = await create(later(31).runner, input(mine), request())
    t.match(await refusalOf(create(runner, input(mine), asked)), { code: 'address-taken', details: { owner: taker.id } })
  })

  t.test('of ten who take it over, one does', async (t) => {
    const mine = address()
    await crashBetween(mine)
    const by = later(31)
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => create(by.runner, input(mine), request())))
    t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const result of results) if (result.status === 'rejected') t.match(result.reason, { code: 'address-taken' })
  })
})

t.test('a process that was frozen for too long between claim and append does not append', async (t) => {
  const mine = address()
  const held = { ...claims, holdsMs: -1 }
  const frozen = createRunner(here.store, here.codec, { contact: held })
  const asked = request()
  await t.rejects(create(frozen, input(mine), asked), Unavailable)
  t.equal(await owner(mine), null)
  t.match(await create(runner, input(mine), asked), { status: 201 })
})

t.test('a contact that is refused for one of its addresses leaves the others free', async (t) => {
  const [free, held] = [`a-${address()}`, `b-${address()}`]
  const { id } = await create(runner, input(held), request())
  t.match(await refusalOf(create(runner, input(free, held), request())), { details: { owner: id, address: held } })
  t.match(await create(there.runner, input(free), request()), { status: 201 })
})

t.test('of several who want the same two addresses, whatever their order, one gets both', async (t) => {
  const [one, two] = [address(), address()]
  const results = await Promise.allSettled(
    Array.from({ length: 6 }, (_, n) => create((n % 2 ? here : there).runner, n % 3 ? input(one, two) : input(two, one), request())),
  )
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
})

t.test('an address that was removed is free at once', async (t) => {
  const mine = address()
  const first = await create(runner, input(mine), request())
  await remove(first.id, mine)
  t.equal(await owner(mine), null)
  const second = await create(there.runner, input(mine), request())
  t.equal(await owner(mine), second.id, 'another can have it')
  t.match(await refusalOf(add(first.id, mine)), { code: 'address-taken', details: { owner: second.id } })
  await remove(second.id, mine)
  await add(first.id, mine)
  t.equal(await owner(mine), first.id, 'and back again')
})

t.test('an archived contact keeps its addresses', async (t) => {
  const mine = address()
  const { id } = await create(runner, input(mine), request())
  await runner.execute(archiveContact, {}, { id }, request())
  t.match(await refusalOf(create(later(100).runner, input(mine), request())), { code: 'address-taken', details: { owner: id } })
  t.match(await refusalOf(upsert(runner, claims, input(mine), request())), { code: 'contact-not-active' })
})

t.test('addresses of different contacts in one upsert are refused, naming the other owner', async (t) => {
  const [one, two] = [address(), address()]
  await create(runner, input(one), request())
  const second = await create(runner, input(two), request())
  t.match(await refusalOf(upsert(runner, claims, input(one, two), request())), {
    code: 'address-taken',
    details: { owner: second.id, address: two },
  })
})

t.test('a repeated upsert is about the contact of the first time, though the address has moved on', async (t) => {
  const mine = address()
  const [made, changed] = [request(), request()]
  const first = await upsert(runner, claims, input(mine), made)
  const again = await upsert(runner, claims, { ...input(mine), company: 'Navy' }, changed)
  t.equal(again.id, first.id)
  await remove(first.id, mine)
  t.match(await upsert(runner, claims, input(mine), made), { id: first.id, repeated: true, status: 201 }, 'while nobody has it')
  const second = await create(runner, input(mine), request())
  t.match(await upsert(runner, claims, input(mine), made), { id: first.id, repeated: true, status: 201 })
  t.match(await upsert(runner, claims, { ...input(mine), company: 'Navy' }, changed), { id: first.id, repeated: true, status: 200 })
  t.equal((await runner.load(`contact-${second.id}`)).length, 1, 'the new owner is left alone')
})

t.test('a release does not take away the claim of who adds the address again at that moment', async (t) => {
  const mine = address()
  const { id } = await create(runner, input(mine), request())
  const asked = request()
  const context = contextOf(id, asked)
  const guard: Guard = {
    ...claims,
    // Before the release comes, another command has claimed the address for the same contact, and has not appended yet.
    async after(...release) {
      await claims.before([added(id, mine)], context, causeOf(asked, context.now))
      await claims.after(...release)
    },
  }
  await remove(id, mine, { runner: createRunner(here.store, here.codec, { contact: guard }) })
  t.match(await refusalOf(create(there.runner, input(mine), request())), { code: 'address-taken', details: { owner: id } })
})

t.test('a command is not failed by a release that fails', async (t) => {
  const mine = address()
  const { id } = await create(runner, input(mine), request())
  const failing = createClaims(here.store, here.codec, () => Promise.reject(new Unavailable('away')), here.vault.secret('claims'))
  await remove(id, mine, { runner: createRunner(here.store, here.codec, { contact: { ...claims, after: failing.after } }) })
  t.equal(await owner(mine), null)
  const taker = await create(later(31).runner, input(mine), request())
  t.equal(await owner(mine), taker.id, 'and the address is to be had')
})

t.test('nobody can tell an address from the log', async (t) => {
  const mine = `canary-${address()}`
  await create(runner, input(mine), request())
  const log = JSON.stringify(await here.store.readAll(null, 10_000), (_, value) => (typeof value === 'bigint' ? String(value) : value))
  t.notMatch(log, /canary/)
  t.match(log, /claim-[0-9a-f]{64}/)
})

t.test('whatever several callers do at once, no address ever has two contacts, and each claim agrees with its holder', async (t) => {
  const kind = fc.constantFrom('create', 'add', 'add', 'remove', 'remove', 'archive', 'restore', 'upsert', 'upsert')
  const step = fc.record({ kind, address: fc.nat(2), other: fc.nat(2), contact: fc.nat(5) })
  const callers = fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { minLength: 3, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(callers, async (scripts) => {
      const addresses = [address(), address(), address()]
      const made: string[] = []
      const run = async (steps: (typeof scripts)[number], by: Services) => {
        for (const { kind, address, other, contact: index } of steps) {
          const [one, two] = [addresses[address]!, addresses[other]!]
          const id = made[index % Math.max(made.length, 1)]
          const act = async () => {
            if (kind === 'create') return made.push((await create(by.runner, input(one, two), request())).id)
            if (kind === 'upsert') return made.push((await upsert(by.runner, by.claims, input(one), request())).id)
            if (!id) return
            if (kind === 'add') return add(id, one, by)
            if (kind === 'archive') return by.runner.execute(archiveContact, {}, { id }, request())
            if (kind === 'restore') return by.runner.execute(restoreContact, {}, { id }, request())
            const state = fold(contact, await by.runner.load(`contact-${id}`))
            const method = !('methods' in state) ? undefined : state.methods.at(-1)
            return method && by.runner.execute(removeContactMethod, {}, { id, methodId: method.id }, request())
          }
          await act().catch((error) => {
            if (!(error instanceof Refused || error instanceof Unavailable)) throw error
          })
        }
      }
      await Promise.all(scripts.map((steps, n) => run(steps, n % 2 ? here : there)))

      const holders = new Map<string, string>()
      for (const id of new Set(made)) {
        for (const address of addressesOf(fold(contact, await runner.load(`contact-${id}`)))) {
          if (holders.has(address)) throw new Error(`${address} has two contacts`)
          holders.set(address, id)
        }
      }
      const afterwards = later(60)
      for (const address of addresses) {
        const holder = holders.get(address) ?? null
        if ((await owner(address)) !== holder) throw new Error('the claim does not agree with the holder')
        // And what nobody holds can be had.
        if (!holder) await create(afterwards.runner, input(address), request())
        else await refusalOf(create(afterwards.runner, input(address), request()))
      }
    }),
    { numRuns: 15 },
  )
  t.pass('for any sequences that fast-check thought of')
})
