import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import type { TSchema } from '@sinclair/typebox'
import type { AnyEventType, NewEvent } from '../../schema/define.ts'
import { allEvents } from '../../schema/events.ts'
import { createCodec, NO_HEAD } from '../../src/platform/codec.ts'

/*
 * Adds a sample of every declared event version that has none yet to events.json: `node test/corpus/add-samples.ts` when an event or a version is
 * new. What is there already is never written again: it stands for what is in people's logs. The keys in it are for these samples alone.
 */
const id = '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'
const at = '2026-03-01T09:30:00.000Z'

/** Something that fits a schema: every field is there, and text needs more than ASCII. */
function sampleOf(schema: TSchema): unknown {
  const { const: constant, anyOf, items, properties, patternProperties, type, format, pattern, examples, minimum } = schema
  if (constant !== undefined) return constant
  if (examples?.length > 0 && type === 'string') return examples[0]
  if (anyOf) return sampleOf(anyOf[0])
  if (type === 'array') return items ? [sampleOf(items)] : []
  if (type === 'object' && patternProperties) return { key: sampleOf(Object.values(patternProperties)[0] as TSchema) }
  if (type === 'object')
    return Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, sampleOf(property as TSchema)]))
  if (type === 'string')
    return format === 'date-time'
      ? at
      : pattern?.includes('{64}')
        ? '0123456789abcdef'.repeat(4)
        : pattern
          ? id
          : 'Ada Łovelace\nmet at the Royal Society 🙂'
  if (type === 'integer' || type === 'number') return minimum ?? 1
  if (type === 'boolean') return true
  if (type === 'null') return null
  throw new Error(`No sample is known for ${JSON.stringify(schema)}`)
}

const file = new URL('events.json', import.meta.url)
const corpus = JSON.parse(await readFile(file, 'utf8').catch(() => '{"keys":{},"samples":[]}'))
const key = { id: randomUUID(), key: Buffer.alloc(32, `sample ${Object.keys(corpus.keys).length}`) }
const codec = createCodec(allEvents, { claim: async () => key, keys: async () => new Map([[key.id, key.key]]) })
const cause = {
  at,
  actor: 'key:sample',
  commandId: id,
  request: 'sample',
  $correlationId: id,
  $causationId: id,
}

for (const { type, version, schema } of Object.values<AnyEventType>(allEvents)) {
  if (corpus.samples.some((sample: { v: number; event: NewEvent }) => sample.event.type === type && sample.v === version)) continue
  const data = sampleOf(schema)
  const stream = `sample-${id}`
  const [encoded] = await codec.encode([{ type, data }], stream, NO_HEAD, cause)
  const { metadata } = encoded!
  if (metadata.key) corpus.keys[metadata.key] = key.key.toString('hex')
  corpus.samples.push({ v: version, event: { id: encoded!.id, type, stream, revision: 0, data: encoded!.data, metadata }, data })
}
await writeFile(file, `${JSON.stringify(corpus, null, 2)}\n`)
