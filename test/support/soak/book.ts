import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Random } from './random.ts'

/** A contact as what was acknowledged makes it. Only one command at a time is about it, so that this is known to the letter. */
export type Known = {
  id: string
  name: string
  company: string | null
  methods: { id: string; type: string; value: string }[]
  archived: boolean
  revision: number
}
export type Entry = { known: Known; busy: boolean /** Of the last thing that was acknowledged. */; position: string }

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
export type Answer<Body = any> = { status: number; headers: Headers; text: string; body: Body }

/** A command that is to be sent, and what has to come of it. */
export type Command = {
  readonly kind: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Refusals that are right, by their code; every other is a fault. */
  readonly refusals?: readonly string[]
  /**
   * Takes in a success. @returns the types of the events that it must have made of each contact
   * @throws Error with what contradicts what is known
   */
  succeeded(answer: Answer): Map<string, readonly string[]>
  refused?(answer: Answer): void
  /** Nobody else is waiting for these now. */
  done(): void
}

/** What is known of all contacts, and commands that fit it. */
export type Book = {
  readonly entries: readonly Entry[]
  /** A command about contacts that no other command is about; mostly one, or two that race. */
  draw(): Command[]
  /** Two commands wanted one address: told which of their successes there were. */
  readonly races: readonly { address: string; won: number; lost: number }[]
}

type Method = { type: string; value: string }
type Change = { name?: string; company?: string | null; archived?: boolean; added?: Method[]; removed?: string }

export function createBook(random: Random, run: string): Book {
  const entries: Entry[] = []
  const hot: Entry[] = []
  const races: { address: string; won: number; lost: number }[] = []
  let numbers = 0
  const number = () => (numbers += 1)
  const address = () => `person-${number()}@${run}.example.com`
  const other = (): Method => ({ type: 'other', value: `other ${number()}` })
  const input = () => {
    const methods = [...(random.chance(0.7) ? [{ type: 'email', value: address() }] : []), ...(random.chance(0.2) ? [other()] : [])]
    return { name: `Person ${number()}`, ...(random.chance(0.5) && { company: `Company ${number()}` }), methods }
  }
  const free = (isFit: (known: Known) => boolean = () => true): Entry | undefined => {
    // A few looks, not a search: there are many, and most are free.
    for (let look = 0; look < 10 && entries.length > 0; look += 1) {
      const entry = random.pick(entries)
      if (!entry.busy && isFit(entry.known)) return entry
    }
    return undefined
  }
  const isActive = ({ archived }: Known) => !archived
  const emailOf = ({ methods }: Known) => methods.find(({ type }) => type === 'email')?.value

  function learn(entry: Entry, { body, headers }: Answer, wanted: Omit<Known, 'id' | 'methods'> & { methods: Method[] }) {
    const known = knownOf(body)
    const told = { ...known, id: undefined, methods: known.methods.map(({ type, value }) => ({ type, value })) }
    if (!isDeepStrictEqual(told, { ...wanted, id: undefined })) {
      throw new Error(`the answer is ${JSON.stringify(told)}, and should be ${JSON.stringify(wanted)}`)
    }
    const revision = /^"(\d+)\./.exec(headers.get('etag') ?? '')?.[1]
    if (Number(revision) !== wanted.revision) throw new Error(`the ETag ${headers.get('etag')} is not of revision ${wanted.revision}`)
    entry.known = known
    entry.position = headers.get('smartcrm-position') ?? entry.position
  }

  const fresh = (kind: string, method: string, path: string, { id, ...body }: ReturnType<typeof input> & { id?: string }): Command => ({
    kind,
    method,
    path,
    body: { ...body, ...(id && { id }) },
    succeeded(answer) {
      const entry: Entry = { known: knownOf(answer.body), busy: false, position: '' }
      learn(entry, answer, { name: body.name, company: body.company ?? null, methods: body.methods, archived: false, revision: 0 })
      if (answer.status !== 201) throw new Error(`what is new was answered with ${answer.status}`)
      entries.push(entry)
      return new Map([[entry.known.id, ['ContactCreated']]])
    },
    done() {},
  })

  const about = (
    entry: Entry,
    kind: string,
    method: string,
    path: string,
    body: unknown,
    types: string[],
    change: Change = {},
  ): Command => {
    const { known } = entry
    entry.busy = true
    const { added = [], removed, ...fields } = change
    const methods = [...known.methods.filter(({ id }) => id !== removed), ...added].map(({ type, value }) => ({ type, value }))
    const { name, company, archived, revision } = { ...known, ...fields, revision: known.revision + types.length }
    return {
      kind,
      method,
      path: path.replace('{id}', known.id),
      ...(body !== undefined && { body }),
      // What is compared of it stands before the dot.
      ...(method === 'PATCH' && random.chance(0.3) && { headers: { 'if-match': `"${known.revision}.x"` } }),
      succeeded(answer) {
        learn(entry, answer, { name, company, archived, revision, methods })
        return new Map([[known.id, types]])
      },
      done: () => {
        entry.busy = false
      },
    }
  }

  const create = () => [fresh('create', 'POST', '/contacts', { ...input(), ...(random.chance(0.5) && { id: randomUUID() }) })]

  const draws: Record<string, () => Command[] | undefined> = {
    create,
    rename() {
      const entry = free(isActive)
      const name = `Renamed ${number()}`
      return entry && [about(entry, 'rename', 'PATCH', '/contacts/{id}', { name }, ['ContactRenamed'], { name })]
    },
    // Two events or none: half of an append is a fault.
    move() {
      const entry = free(isActive)
      const change = { name: `Moved ${number()}`, company: entry?.known.company && random.chance(0.3) ? null : `Company ${number()}` }
      return entry && [about(entry, 'move', 'PATCH', '/contacts/{id}', change, ['ContactRenamed', 'ContactCompanyChanged'], change)]
    },
    add() {
      const entry = free((known) => isActive(known) && known.methods.length < 20)
      const added = random.chance(0.5) ? other() : { type: 'email', value: address() }
      return entry && [about(entry, 'add', 'POST', '/contacts/{id}/methods', added, ['ContactMethodAdded'], { added: [added] })]
    },
    remove() {
      const entry = free((known) => isActive(known) && known.methods.length > 0)
      const id = entry && random.pick(entry.known.methods).id
      return (
        entry && [about(entry, 'remove', 'DELETE', `/contacts/{id}/methods/${id}`, undefined, ['ContactMethodRemoved'], { removed: id! })]
      )
    },
    note() {
      const entry = free()
      return entry && [about(entry, 'note', 'POST', '/contacts/{id}/notes', { text: `Note ${number()}` }, ['NoteAdded'])]
    },
    archive() {
      const entry = free()
      const types = entry?.known.archived ? [] : ['ContactArchived']
      const [method, path] = random.chance(0.5) ? ['DELETE', '/contacts/{id}'] : ['POST', '/contacts/{id}/archive']
      return entry && [about(entry, 'archive', method!, path!, undefined, types, { archived: true })]
    },
    restore() {
      const entry = free((known) => known.archived) ?? free()
      const types = entry?.known.archived ? ['ContactRestored'] : []
      return entry && [about(entry, 'restore', 'POST', '/contacts/{id}/restore', undefined, types, { archived: false })]
    },
    upsertNew() {
      const { methods, ...body } = { ...input(), methods: [] as Method[] }
      const email = { type: 'email', value: address() }
      const command = fresh('upsert', 'PUT', `/contacts/by-email/${email.value}`, { ...body, methods: [email] })
      return [{ ...command, body: { ...body, methods } }]
    },
    upsert() {
      const entry = free((known) => isActive(known) && emailOf(known) !== undefined)
      const name = `Upserted ${number()}`
      const added = random.chance(0.5) ? [other()] : []
      const types = ['ContactRenamed', ...added.map(() => 'ContactMethodAdded')]
      const path = `/contacts/by-email/${entry && emailOf(entry.known)}`
      return entry && [about(entry, 'upsert', 'PUT', path, { name, methods: added }, types, { name, added })]
    },
    batch: () => [batch()],
    // Who wants what another has is refused, and nothing comes of it.
    rival() {
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
    // Of two who want one address at the same time just one gets it.
    race() {
      const race = { address: address(), won: 0, lost: 0 }
      races.push(race)
      return ['one', 'two'].map((which): Command => {
        const body = { name: `Race ${number()} ${which}`, methods: [{ type: 'email', value: race.address }] }
        const command = fresh('race', 'POST', '/contacts', body)
        return {
          ...command,
          refusals: ['address-taken'],
          succeeded(answer) {
            race.won += 1
            return command.succeeded(answer)
          },
          refused() {
            race.lost += 1
          },
        }
      })
    },
    // Nobody waits for anybody: several change one contact at once.
    hot() {
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

  const weights = {
    create: 24,
    rename: 14,
    move: 10,
    add: 10,
    remove: 5,
    note: 12,
    archive: 4,
    restore: 4,
    upsertNew: 4,
    upsert: 6,
    batch: 2,
    rival: 2,
    race: 1,
    hot: 2,
  }
  return { entries, races, draw: () => draws[random.weighted(weights)]!() ?? create() }
}

/** A contact as an answer shows it, without what nobody can foretell. */
export const knownOf = ({ id, name, company, methods, archived, revision }: Known): Known => ({
  id,
  name,
  company,
  methods: methods.map(({ id, type, value }) => ({ id, type, value })),
  archived,
  revision,
})
