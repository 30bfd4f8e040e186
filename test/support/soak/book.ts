import { isDeepStrictEqual } from 'node:util'
import { type Answer, type Change, type Command, type Entry, type Known, knownOf, type Method } from './known.ts'
import type { Random } from './random.ts'

/** What is known of all contacts, and what makes commands that fit it. */
export type Book = ReturnType<typeof createBook>

/** @param run is in all addresses */
export function createBook(random: Random, run: string) {
  const entries: Entry[] = []
  let numbers = 0
  const number = () => (numbers += 1)
  const address = () => `person-${number()}@${run}.example.com`
  const other = (): Method => ({ type: 'other', value: `other ${number()}` })
  const input = () => {
    const methods = [...(random.chance(0.7) ? [{ type: 'email', value: address() }] : []), ...(random.chance(0.2) ? [other()] : [])]
    return { name: `Person ${number()}`, ...(random.chance(0.5) && { company: `Company ${number()}` }), methods }
  }
  /** One that nobody else is about, and that fits. */
  const free = (isFit: (known: Known) => boolean = () => true): Entry | undefined => {
    // A few looks, not a search: there are many, and most are free.
    for (let look = 0; look < 10 && entries.length > 0; look += 1) {
      const entry = random.pick(entries)
      if (!entry.busy && isFit(entry.known)) return entry
    }
    return undefined
  }

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

  /** A command that makes a contact. */
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

  /** A command about a contact that is there. @param types of the events that it makes @param change what they say */
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

  return { entries, number, address, other, input, free, fresh, about }
}
