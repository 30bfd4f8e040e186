import { deepStrictEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { contacts } from '../../projections/contacts.ts'
import { emails } from '../../projections/emails.ts'
import { archiveContact, restoreContact } from '../../src/contacts/archive.ts'
import { addContactMethod, contact, createContact, isKnown, removeContactMethod, updateContact } from '../../src/contacts/contact.ts'
import { mergeContacts, unmergeContacts } from '../../src/contacts/merge-requests.ts'
import { settleMerge, streamOf } from '../../src/contacts/merging.ts'
import { contactAt } from '../../src/contacts/past.ts'
import { Refused, Unavailable } from '../../src/platform/refusal.ts'
import { foldInMemory } from '../../src/platform/rows.ts'
import { fold } from '../../src/platform/runner.ts'
import { id } from '../support/given.ts'
import { Killed, memoryRunner } from '../support/memory-runner.ts'

const PEOPLE = 5
const ADDRESSES = 8
const address = (n: number) => `a${n}@example.com`

type Model = { parent: (number | null)[]; home: Map<string, { of: number; value: string }>; removed: Set<string>; renamed: Set<number> }
const rootOf = ({ parent }: Model, n: number): number => (parent[n] === null ? n : rootOf({ parent } as Model, parent[n]!))

const person = fc.nat(PEOPLE - 1)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant('add' as const), who: person, value: fc.nat(ADDRESSES - 1), isPhone: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('remove' as const), who: person, which: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('rename' as const), who: person }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('merge' as const),
      into: person,
      from: person,
      choose: fc.dictionary(fc.constantFrom('name', 'company'), fc.constantFrom('survivor' as const, 'from' as const)),
      killAfter: fc.option(fc.nat(3), { nil: Number.POSITIVE_INFINITY }),
      isOvertaken: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('unmerge' as const),
      into: person,
      from: person,
      killAfter: fc.option(fc.nat(4), { nil: Number.POSITIVE_INFINITY }),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

async function world() {
  const memory = memoryRunner()
  const { runner } = memory
  let commands = 0
  const request = () => {
    commands += 1
    return { actor: 'key:test', commandId: id(500_000 + commands), request: `request ${commands}`, correlationId: id(500_000 + commands) }
  }
  for (let n = 0; n < PEOPLE; n += 1)
    await runner.execute(createContact, { id: id(n), name: `Person ${n}`, ...(n % 2 && { company: `Company ${n}` }) }, {}, request())
  const model: Model = { parent: Array(PEOPLE).fill(null), home: new Map(), removed: new Set(), renamed: new Set() }
  const stateOf = async (n: number) => {
    const state = fold(contact, await runner.load(streamOf(id(n))))
    if (!isKnown(state)) throw new Error('It is there.')
    return state
  }
  return { ...memory, model, request, stateOf }
}
type World = Awaited<ReturnType<typeof world>>

/** What it is refused with; null where it is done. */
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => {
      if (error instanceof Refused || error instanceof Unavailable || error instanceof Killed) return error
      throw error
    },
  )

/** The killed process is followed by the job, which a reactor makes of what is in the log. */
async function jobs({ runner, log }: World) {
  for (const { type, data } of [...log]) {
    if (type === 'ContactMergedInto') await settleMerge(runner, (data as { contactId: string }).contactId)
    if (type === 'ContactUnmerged') await settleMerge(runner, (data as { from: string }).from, (data as { contactId: string }).contactId)
  }
}

async function take(w: World, one: Step) {
  const { runner, model, request, stateOf, state } = w
  if (one.what === 'add') {
    const { who, value, isPhone } = one
    const before = (await stateOf(who)).methods.length
    const input = isPhone ? { type: 'phone', value: `+4420794601${20 + value}` } : { type: 'email', value: address(value) }
    const refused = await refusal(runner.execute(addContactMethod, input, { id: id(who) }, request()))
    const owner = [...model.home].find(([methodId, { value: held }]) => held === input.value && !model.removed.has(methodId))
    if (model.parent[who] !== null) ok(refused instanceof Refused && refused.code === 'contact-merged')
    else if (!isPhone && owner && rootOf(model, owner[1].of) !== who)
      ok(refused instanceof Refused && refused.code === 'address-taken', String(refused))
    else {
      deepStrictEqual(refused, null)
      const { methods } = await stateOf(who)
      if (methods.length > before) model.home.set(methods.at(-1)!.id, { of: who, value: input.value })
    }
  } else if (one.what === 'remove') {
    const { methods, mergedInto } = await stateOf(one.who)
    const method = methods[one.which]
    if (!method || mergedInto) return
    await runner.execute(removeContactMethod, {}, { id: id(one.who), methodId: method.id }, request())
    model.removed.add(method.id)
  } else if (one.what === 'rename') {
    if (model.parent[one.who] !== null) return
    await runner.execute(updateContact, { name: `Renamed ${w.log.length}` }, { id: id(one.who) }, request())
    model.renamed.add(one.who)
  } else {
    const { into, from, killAfter } = one
    const asked = request()
    const run = () =>
      one.what === 'merge'
        ? mergeContacts(runner, { id: id(into), from: id(from), choose: one.choose }, asked)
        : unmergeContacts(runner, { id: id(into), from: id(from) }, asked)
    const length = w.log.length
    state.killAfter = killAfter
    const first = await refusal(run())
    state.killAfter = Number.POSITIVE_INFINITY
    // Somebody archives the survivor before the job comes: then it may not be able to take the other any more.
    const isOvertaken = one.what === 'merge' && one.isOvertaken && first instanceof Killed && model.parent[into] === null && into !== from
    const isBegun = w.log.length > length
    if (isOvertaken) await runner.execute(archiveContact, {}, { id: id(into) }, request())
    await jobs(w)
    if (isOvertaken) {
      await runner.execute(restoreContact, {}, { id: id(into) }, request())
      if (isBegun && model.parent[from] === null && (await stateOf(from)).mergedInto) model.parent[from] = into
      return
    }
    // A killed command that left nothing is as if it had never been asked; what it left is finished.
    const isDone = w.log.length > length
    const parents = model.parent
    if (one.what === 'merge') {
      const isFree = into !== from && parents[into] === null && parents[from] === null
      const isSo = into !== from && parents[into] === null && rootOf(model, from) === into
      if (isFree && isDone) parents[from] = into
      if (!isFree && !isSo) ok(first instanceof Refused, 'a merge that is none is refused')
      if (isFree && !(first instanceof Killed)) deepStrictEqual(first, null)
      deepStrictEqual(isDone, isFree && (isDone || !(first instanceof Killed)))
    } else {
      const isPart = into !== from && parents[into] === null && rootOf(model, from) === into
      if (isPart && isDone) parents[from] = null
      if (!isPart) deepStrictEqual(isDone, false)
      if (isPart && !(first instanceof Killed)) deepStrictEqual(first, null)
    }
    // The same command again changes nothing more.
    const then = w.log.length
    if (isDone) {
      deepStrictEqual(await refusal(run()), null)
      deepStrictEqual(w.log.length, then)
    }
  }
}

async function check(w: World) {
  const { model, claims, contactLog } = w
  const owners = foldInMemory(emails, contactLog()).rows('addressOwners') as { contactId: string; address: string }[]
  for (let n = 0; n < ADDRESSES; n += 1) {
    const held = [...model.home].filter(([methodId, { value }]) => value === address(n) && !model.removed.has(methodId))
    ok(held.length <= 1, 'one owner')
    const owner = held[0] ? id(rootOf(model, held[0][1].of)) : null
    deepStrictEqual(await claims.contactOf([address(n)]), owner, `whose ${address(n)} is`)
    deepStrictEqual(
      owners.filter((row) => row.address === address(n)).map(({ contactId }) => contactId),
      owner ? [owner] : [],
      'whose mail it is',
    )
  }
  for (let n = 0; n < PEOPLE; n += 1) {
    const { mergedInto, methods } = await w.stateOf(n)
    deepStrictEqual(mergedInto?.into ?? null, model.parent[n] === null ? null : id(model.parent[n]!))
    if (mergedInto) continue
    const mine = [...model.home].filter(([methodId, { of }]) => !model.removed.has(methodId) && rootOf(model, of) === n)
    for (const method of methods)
      ok(
        mine.some(([methodId]) => methodId === method.id),
        'nothing is there that is not its own, or of one that is part of it',
      )
    const shown = contactAt(await w.runner.load(streamOf(id(n))), id(n))!
    deepStrictEqual(shown.methods.map((method) => method.id).sort(), methods.map((method) => method.id).sort(), 'as the tables say')
    const parts = Array.from({ length: PEOPLE }, (_, other) => other).filter((other) => other !== n && rootOf(model, other) === n)
    deepStrictEqual([...(shown.merged ?? [])].sort(), parts.map(id).sort())
  }
}

t.test(
  'every address has one owner, and every mail is where its address belongs, whatever is merged and unmerged and killed in between',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), fc.infiniteStream(fc.nat()), async (steps, picks) => {
        const w = await world()
        for (const one of steps) {
          await take(w, one)
          await check(w)
        }
        // All are taken out again, in any order: each has what it had.
        for (;;) {
          const parts = w.model.parent.flatMap((parent, n) => (parent === null ? [] : [n]))
          if (parts.length === 0) break
          const from = parts[(picks.next().value ?? 0) % parts.length]!
          await unmergeContacts(w.runner, { id: id(rootOf(w.model, from)), from: id(from) }, w.request())
          w.model.parent[from] = null
          await check(w)
        }
        for (let n = 0; n < PEOPLE; n += 1) {
          const { methods, name, company } = await w.stateOf(n)
          const own = [...w.model.home]
            .filter(([methodId, { of }]) => of === n && !w.model.removed.has(methodId))
            .map(([methodId]) => methodId)
          deepStrictEqual(methods.map((method) => method.id).sort(), own.sort())
          if (w.model.renamed.size === 0)
            deepStrictEqual({ name, company }, { name: `Person ${n}`, company: n % 2 ? `Company ${n}` : null })
        }
        const rows = foldInMemory(contacts, w.contactLog()).rows('contactMerges')
        deepStrictEqual(rows, [])
      }),
      { numRuns: Number(process.env['RUNS'] ?? 150) },
    )
    t.pass('it holds')
  },
)
