import { randomUUID } from 'node:crypto'
import type { Book } from './book.ts'
import { createContested } from './contested.ts'
import { type Command, emailOf, isActive, type Method } from './known.ts'
import type { Random } from './random.ts'

export type Commands = {
  /** A command about contacts that no other command is about; mostly one, or two that race. */
  draw(): Command[]
  /** Two commands wanted one address: told which of their successes there were. */
  readonly races: readonly { address: string; won: number; lost: number }[]
}

/** Commands of every kind, that fit what is known. */
export function createCommands(book: Book, random: Random): Commands {
  const { number, address, other, input, free, fresh, about } = book
  const create = () => [fresh('create', 'POST', '/contacts', { ...input(), ...(random.chance(0.5) && { id: randomUUID() }) })]
  const { races, ...contested } = createContested(book, random, create)
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
    ...contested,
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
  return { races, draw: () => draws[random.weighted(weights)]!() ?? create() }
}
