import { Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import type { AnyEventType } from '../../../schema/define.ts'
import { Corrupt, checkHashes, isOurs, NewerVersion } from '../codec.ts'
import { categoryOf, type Metadata, type RecordedEvent, type StoredEvent } from '../event.ts'
import { UnknownKey } from '../key-lookup.ts'
import { KeyDamaged } from '../master-keys.ts'
import { formatPosition } from '../position.ts'
import { isLasting } from '../projections/moments.ts'

/** Something in the log that is not as it was written. */
export type Finding = { readonly what: string; readonly stream?: string; readonly revision?: number; readonly position?: string }

export type Add = (finding: Finding) => void

/** What was witnessed of a stream: its newest event at that time. */
export type WitnessedHead = { readonly revision: number; readonly hash: string; readonly position: string }

/** What is known of a stream: its last event that was read, and what was witnessed of it. */
type Head = { revision: number; hash: string | null; readonly witnessed: WitnessedHead | null }

export type ChainOptions = {
  decode(events: readonly StoredEvent[]): Promise<RecordedEvent[]>
  /** Every event that is declared, by its type. */
  readonly types: Readonly<Record<string, AnyEventType>>
  /** Of streams that are SmartCRM's own, the heartbeat aside. */
  readonly categories: readonly string[]
  readonly witnessed: ReadonlyMap<string, WitnessedHead>
}

const placeOf = ({ stream, revision, position }: Pick<StoredEvent, 'stream' | 'revision' | 'position'>) => ({
  stream,
  revision,
  position: formatPosition(position),
})

/** Each stream by itself: revisions without a gap, hashes, links, sealed parts and forms; and what was witnessed of its newest event. */
export function createChain({ decode, types, categories, witnessed }: ChainOptions, add: Add) {
  const heads = new Map<string, Head>([...witnessed].map(([stream, witnessed]) => [stream, { revision: -1, hash: null, witnessed }]))
  const wrongForm = createFormCheck(types)
  let [events, streams, unknown] = [0, 0, 0]
  const isOwn = ({ stream }: StoredEvent) => categories.includes(categoryOf(stream))

  const follow = (event: StoredEvent): boolean => {
    const place = placeOf(event)
    const wrong = wrongInItself(types, event)
    if (wrong) add({ what: wrong, ...place })
    const head = heads.get(event.stream) ?? { revision: -1, hash: null, witnessed: null }
    if (head.revision === -1) {
      heads.set(event.stream, head)
      streams += 1
    }
    const { prev, hash } = (event.metadata ?? {}) as Partial<Metadata>
    if (event.revision > head.revision + 1)
      add({ what: `revisions ${head.revision + 1} to ${event.revision - 1} are missing before it`, ...place })
    else if (event.revision <= head.revision) add({ what: `comes after revision ${head.revision}`, ...place })
    else if (!wrong && prev !== head.hash) add({ what: 'is not chained to the event before it', ...place })
    const { witnessed } = head
    if (witnessed?.revision === event.revision) {
      if (witnessed.hash !== hash) add({ what: 'is not the event that was witnessed', ...place })
      else if (witnessed.position !== place.position) add({ what: `was witnessed at ${witnessed.position}`, ...place })
    }
    head.revision = Math.max(head.revision, event.revision)
    head.hash = hash ?? null
    return !wrong
  }

  const open = async (sound: readonly StoredEvent[]): Promise<void> => {
    try {
      for (const event of await decode(sound)) {
        if (!event.known) unknown += 1
        else if (wrongForm(event)) add({ what: `does not fit its schema: ${wrongForm(event)}`, ...placeOf(event) })
      }
    } catch (error) {
      const isOfEvent =
        error instanceof Corrupt || error instanceof NewerVersion || error instanceof UnknownKey || error instanceof KeyDamaged
      if (!isOfEvent) throw error
      if (sound.length === 1) return add({ what: `cannot be opened: ${error.message}`, ...placeOf(sound[0]!) })
      const half = Math.ceil(sound.length / 2)
      await open(sound.slice(0, half))
      await open(sound.slice(half))
    }
  }

  return {
    async next(page: readonly StoredEvent[]) {
      for (const event of page) {
        if (event.stream.startsWith('$$') && categories.includes(categoryOf(event.stream.slice(2))))
          add({ what: 'its stream was given metadata, which may hide events', ...placeOf(event) })
      }
      const own = page.filter((event) => isOwn(event) && isLasting(event))
      events += own.length
      const sound = own.filter(follow)
      if (sound.length > 0) await open(sound)
    },
    end() {
      for (const [stream, { revision, witnessed }] of heads) {
        if (witnessed && witnessed.revision > revision) {
          const gone =
            revision + 1 === witnessed.revision ? `revision ${revision + 1} is` : `revisions ${revision + 1} to ${witnessed.revision} are`
          add({ what: `${gone} gone from its end`, stream, revision: revision + 1, position: witnessed.position })
        }
      }
    },
    counts: () => ({ events, streams, unknown }),
  }
}

function wrongInItself(types: ChainOptions['types'], event: StoredEvent): string | null {
  if (!types[event.type] && !isOurs(event.metadata)) return 'is no event of SmartCRM'
  try {
    checkHashes(types, [event])
    return null
  } catch (error) {
    if (!(error instanceof Corrupt)) throw error
    return error.message.replace(/^.*is corrupt: /, '').replace(/\.$/, '')
  }
}

/** What of an event does not fit its schema; of an erased one, of what is left. */
function createFormCheck(types: ChainOptions['types']) {
  const checks = new Map<string, TypeCheck<AnyEventType['schema']>>()
  const checkOf = (name: string, erased: boolean) => {
    const key = `${name} ${erased}`
    const { schema, personal } = types[name]!
    const left = Object.entries(schema.properties).filter(([field]) => !erased || !personal.includes(field))
    const check = checks.get(key) ?? TypeCompiler.Compile(Type.Object(Object.fromEntries(left), { additionalProperties: false }))
    checks.set(key, check)
    return check
  }
  return ({ type, data, erased }: RecordedEvent): string | null => {
    const check = checkOf(type, erased)
    return check.Check(data)
      ? null
      : [...new Set([...check.Errors(data)].map(({ path, message }) => `${path} ${message}`))].slice(0, 3).join('; ')
  }
}
