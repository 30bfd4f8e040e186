import { isDeepStrictEqual } from 'node:util'
import type { Book } from './book.ts'
import { type Command, type Entry, emailOf, isActive } from './known.ts'
import type { Random } from './random.ts'

/** Commands about several contacts, and several about one: batches, and those that want the same at the same time. */
export function createContested({ entries, number, address, input, free, fresh, about }: Book, random: Random, create: () => Command[]) {
  const hot: Entry[] = []
  const races: { address: string; won: number; lost: number }[] = []

  function batch(): Command {
    const inputs = Array.from({ length: 2 + Math.floor(random.next() * 6) }, () => {
      const entry = random.chance(0.5) ? free((known) => isActive(known) && emailOf(known) !== undefined) : undefined
      if (!entry) return { input: { ...input(), methods: [{ type: 'email', value: address() }] } }
      entry.busy = true
      return { entry, input: { name: `Batched ${number()}`, methods: [{ type: 'email', value: emailOf(entry.known)! }] } }
    })
    return {
      kind: 'batch',
      method: 'POST',
      path: '/contacts/batch',
      body: { inputs: inputs.map(({ input }) => input) },
      succeeded({ body, headers }) {
        const types = new Map<string, readonly string[]>()
        const position = headers.get('smartcrm-position') ?? ''
        for (const [index, { entry, input }] of inputs.entries()) {
          const { outcome, contactId, revision } = body.results[index]
          const expected = entry ? ['updated', entry.known.id, entry.known.revision + 1] : ['created', contactId, 0]
          if (!isDeepStrictEqual([outcome, contactId, revision], expected)) {
            throw new Error(`input ${index} came to ${outcome} ${contactId} ${revision}, and should to ${expected.join(' ')}`)
          }
          types.set(contactId, [entry ? 'ContactRenamed' : 'ContactCreated'])
          if (entry) Object.assign(entry, { known: { ...entry.known, name: input.name, revision }, position })
          // Its methods' ids are not told: it is known well enough to be left alone from here on.
        }
        return types
      },
      done() {
        for (const { entry } of inputs) if (entry) entry.busy = false
      },
    }
  }

  return {
    races,
    batch: () => [batch()],
    // Who wants what another has is refused, and nothing comes of it.
    rival(): Command[] | undefined {
      const entry = free((known) => emailOf(known) !== undefined)
      if (!entry) return undefined
      const body = { name: `Rival ${number()}`, methods: [{ type: 'email', value: emailOf(entry.known)! }] }
      const { id } = entry.known
      return [
        {
          ...about(entry, 'rival', 'POST', '/contacts', body, []),
          refusals: ['address-taken'],
          succeeded() {
            throw new Error(`the address of ${id} was given to another`)
          },
          refused({ body }) {
            if (body.owner !== id) throw new Error(`the owner is ${id}, and ${body.owner} is named`)
          },
        },
      ]
    },
    // Of two who want one address at the same time just one gets it. Until both are answered, nothing else is done to it: it might let the address go.
    race(): Command[] {
      const race = { address: address(), won: 0, lost: 0 }
      const winners: Entry[] = []
      let answered = 0
      races.push(race)
      return ['one', 'two'].map((which): Command => {
        const body = { name: `Race ${number()} ${which}`, methods: [{ type: 'email', value: race.address }] }
        const command = fresh('race', 'POST', '/contacts', body)
        return {
          ...command,
          refusals: ['address-taken'],
          succeeded(answer) {
            race.won += 1
            const types = command.succeeded(answer)
            const winner = entries.at(-1)!
            winner.busy = true
            winners.push(winner)
            return types
          },
          refused() {
            race.lost += 1
          },
          done() {
            answered += 1
            if (answered === 2) for (const winner of winners) winner.busy = false
          },
        }
      })
    },
    // Nobody waits for anybody: several change one contact at once.
    hot(): Command[] {
      if (hot.length < 3) {
        const [command] = create() as [Command]
        return [
          {
            ...command,
            succeeded(answer) {
              const types = command.succeeded(answer)
              const entry = entries.pop()!
              hot.push(entry)
              return types
            },
          },
        ]
      }
      const { id } = random.pick(hot).known
      const name = `Hot ${number()}`
      const isNote = random.chance(0.5)
      return [
        {
          kind: 'hot',
          method: isNote ? 'POST' : 'PATCH',
          path: `/contacts/${id}${isNote ? '/notes' : ''}`,
          body: isNote ? { text: name } : { name },
          succeeded({ body }) {
            if (!isNote && body.name !== name) throw new Error(`the answer's name is ${body.name}, not ${name}`)
            return new Map([[id, [isNote ? 'NoteAdded' : 'ContactRenamed']]])
          },
          done() {},
        },
      ]
    },
  }
}
