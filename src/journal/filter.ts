import { type TSchema, Type } from '@sinclair/typebox'
import { allEvents, eventsByCategory } from '../../schema/events.ts'
import { type Fault, Invalid } from '../platform/refusal.ts'

/** The heartbeat is the service's own pulse, not something that happened to a customer. */
const { heartbeat: _, ...shown } = eventsByCategory
const typesOf = new Map(Object.entries(shown).map(([category, events]) => [category, Object.keys(events)]))

/** The types of events that the journal shows; what another application writes into the log is not among them. */
export const journalTypes: ReadonlySet<string> = new Set([...typesOf.values()].flat())

/** What the CRM has no event of: another application's, or one of ours whose type is not what was written, which decoding it notices. */
export const isStrange = (type: string): boolean => !type.startsWith('$') && !Object.hasOwn(allEvents, type)

/** Which events of the journal are asked for. */
export type Filter = {
  readonly types: ReadonlySet<string>
  /** The same for filters that let the same through. */
  readonly key: string
}

const list = (description: string, examples: string[]): TSchema =>
  Type.Union([Type.String(), Type.Array(Type.String())], { description: `${description} Repeated, or parted by commas.`, examples })

export const filterParameters = {
  category: Type.Optional(list(`Only events of these categories: ${[...typesOf.keys()].join(', ')}.`, ['contact,email'])),
  type: Type.Optional(list('Only events of these types; with `category`, those that fit both.', ['ContactCreated,ContactRenamed'])),
}

/** Everything that the journal has. */
export const journalCategories: readonly string[] = [...typesOf.keys()]

/**
 * @param open the categories that the caller may be shown; what is in the others is not there for him
 * @throws Invalid naming everything that there is not, and what there is
 */
export function parseFilter(query: { category?: unknown; type?: unknown }, open: readonly string[] = journalCategories): Filter {
  const categories = names(query.category)
  const types = names(query.type)
  const openTypes = [...journalTypes].filter((type) => open.some((name) => typesOf.get(name)!.includes(type)))
  const faults = [...unknown('/querystring/category', categories, open), ...unknown('/querystring/type', types, openTypes.toSorted())]
  if (faults.length > 0) throw new Invalid(faults)
  const asked = new Set(types ?? openTypes)
  const wanted = openTypes.filter((type) => asked.has(type) && (categories?.some((name) => typesOf.get(name)!.includes(type)) ?? true))
  // It would never say anything.
  if (wanted.length === 0)
    throw new Invalid([{ path: '/querystring/type', message: `is of no event of ${(categories ?? open).join(', ')}` }])
  return { types: new Set(wanted), key: wanted.length === journalTypes.size ? '' : wanted.join() }
}

/** Undefined where nothing was asked for. */
const names = (given: unknown): string[] | undefined =>
  given === undefined
    ? undefined
    : [given].flat().flatMap((text) =>
        String(text)
          .split(',')
          .map((name) => name.trim()),
      )

function unknown(path: string, given: string[] | undefined, known: readonly string[]): Fault[] {
  const wrong = [...new Set(given)].filter((name) => !known.includes(name))
  if (wrong.length === 0) return []
  return [
    { path, message: `has ${wrong.map((name) => JSON.stringify(name)).join(', ')}, which there is not: there is ${known.join(', ')}` },
  ]
}
