import { Type } from '@sinclair/typebox'
import t from 'tap'
import { events } from '../../schema/define.ts'
import { projection, type Row, type RowWrite, table } from '../../src/platform/projection.ts'
import { applyWrite, foldInMemory, InvalidWrite, normaliseWrite } from '../../src/platform/rows.ts'
import { inOrder, recorded } from '../support/projections.ts'

const written = events({ Written: { writes: Type.Array(Type.Unsafe<RowWrite>(Type.Any())) } })
const mail = projection({
  name: 'mail',
  version: 1,
  tables: {
    traffic: table('address', { address: 'text', received: 'count', lastAt: 'last', owner: 'uuid', firstAt: 'instant', extra: 'json' }),
    parts: table(['mail', 'party', 'number'], { mail: 'text', party: 'text', number: 'integer', size: 'integer' }),
  },
  events: written,
  on: { Written: (_tables, { writes }) => writes },
})
const { traffic, parts } = mail.tables
const empty = { address: 'a', received: 0, lastAt: null, owner: null, firstAt: null, extra: null }
const after = (before: Row | null, write: RowWrite) => applyWrite(traffic, before, normaliseWrite(traffic, write))
const folded = (...writes: RowWrite[]) => foldInMemory(mail, recorded(writes.map((write) => written.Written({ writes: [write] }))))

t.test('put makes the row exactly what it says: what is left out is null, or zero for a count', async (t) => {
  t.same(after({ ...empty, received: 7, extra: 'before' }, traffic.put({ address: 'a', lastAt: '2026-01-01T00:00:00Z' })), {
    ...empty,
    lastAt: '2026-01-01T00:00:00.000Z',
  })
})

t.test('patch changes the columns that it names, and makes no row', async (t) => {
  t.same(after({ ...empty, extra: 1 }, traffic.patch({ address: 'a', owner: null, firstAt: undefined })), { ...empty, extra: 1 })
  t.equal(after(null, traffic.patch({ address: 'a', received: 1 })), null)
})

t.test('merge changes the columns that it names, in a new row if there is none', async (t) => {
  t.same(after(null, traffic.merge({ address: 'a', received: 2 })), { ...empty, received: 2 })
  t.same(after({ ...empty, received: 2 }, traffic.merge({ address: 'a', received: 3 })), { ...empty, received: 5 })
})

t.test('a count adds what it is given, and nothing for null', async (t) => {
  t.match(after({ ...empty, received: 2 }, traffic.patch({ address: 'a', received: -3 })), { received: -1 })
  t.match(after({ ...empty, received: 2 }, traffic.patch({ address: 'a', received: null })), { received: 2 })
})

t.test('a last keeps the latest instant, whatever zone it is written in', async (t) => {
  const row = { ...empty, lastAt: '2026-03-01T09:30:00.000Z' }
  t.match(after(row, traffic.patch({ address: 'a', lastAt: '2026-03-01T10:00:00+01:00' })), row)
  t.match(after(row, traffic.patch({ address: 'a', lastAt: '2026-03-01T09:00:00-01:00' })), { lastAt: '2026-03-01T10:00:00.000Z' })
  t.match(after(row, traffic.patch({ address: 'a', lastAt: null })), row)
})

t.test('remove takes one row away, or all rows that begin with the columns that it names', async (t) => {
  const [a, b, c] = [
    { mail: 'm', party: 'p', number: 1, size: 1 },
    { mail: 'm', party: 'q', number: 1, size: 2 },
    { mail: 'n', party: 'p', number: 1, size: 3 },
  ] as const
  const all = [parts.put(a), parts.put(b), parts.put(c)]
  const left = (...removes: RowWrite[]) => inOrder(folded(...all, ...removes).rows('parts'), parts)
  t.same(left(parts.remove({ mail: 'm', party: 'q', number: 1 })), [a, c])
  t.same(left(parts.remove({ mail: 'm' })), [c])
  t.same(left(parts.remove({ mail: 'm', party: 'q' })), [a, c])
  t.same(left(parts.remove({ mail: 'm' }), parts.put(b)), [b, c], 'a row that is put again afterwards is there')
})

t.test('values that are equal become the same value', async (t) => {
  const one = traffic.put({
    address: 'nul\0 half\ud800',
    owner: '{0A0B0C0D00004000800000000000000F}',
    firstAt: '2016-12-31T23:59:60Z',
    extra: { 'k\0': [undefined, Number.NaN, '\udc00', -0], none: undefined, at: new Date(0) },
  })
  t.same(folded(one).rows('traffic'), [
    {
      address: 'nul\ufffd half\ufffd',
      received: 0,
      lastAt: null,
      owner: '0a0b0c0d-0000-4000-8000-00000000000f',
      firstAt: '2016-12-31T23:59:59.000Z',
      extra: { 'k\ufffd': [null, null, '\ufffd', 0], at: '1970-01-01T00:00:00.000Z' },
    },
  ])
})

t.test('a write that the table cannot hold is refused, naming table and column but not the value', async (t) => {
  const wrong: [RowWrite, string][] = [
    [traffic.put({ address: 'a', owner: 'Ada' }), 'column owner is not a uuid'],
    [traffic.put({ address: 'a', received: 1.5 }), 'column received is not a whole number below 2^53'],
    [traffic.put({ address: 'a', firstAt: '2026-01-01T00:00:00' }), 'column firstAt is not an instant with its time zone'],
    [traffic.put({ address: 'a', firstAt: '2026-13-01T00:00:00Z' }), 'column firstAt is not an instant'],
    [traffic.put({ address: 'a', extra: 1n }), 'column extra is not JSON'],
    [traffic.put({ address: 1 as never }), 'column address is not a text'],
    [traffic.put({ address: 'a', other: 1 } as never), 'column other is not declared'],
    [traffic.patch({ address: null as never }), 'column address is part of the key and has no value'],
    [traffic.remove({}), 'column address is part of the key and has no value'],
    [traffic.remove({ address: 'a', received: 1 } as never), 'column received is not part of the key'],
  ]
  for (const [write, what] of wrong) {
    t.throws(() => normaliseWrite(traffic, write), new InvalidWrite(`${write.verb} of traffic_v1: ${what}`))
  }
  t.throws(() => normaliseWrite(parts, parts.remove({ mail: 'm', number: 1 })), /column party is part of the key/)
})

t.test('an erased event writes nothing', async (t) => {
  const [event] = recorded([written.Written({ writes: [traffic.put({ address: 'a' })] })])
  t.same(foldInMemory(mail, [{ ...event!, erased: true }]).rows('traffic'), [])
})
