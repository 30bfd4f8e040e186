import { eachField, exactVarint } from './wire.ts'

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The protocol's UUID message between `from` and `to`, in its lower-case string form; throws where it is none. */
export function readUuid(bytes: Buffer, from: number, to: number): string {
  let text = ''
  eachField(bytes, from, to, (field, _value, start, end) => {
    if (field === 2) text = bytes.toString('latin1', start, end).toLowerCase()
    if (field !== 1) return
    let high = 0n
    let low = 0n
    eachField(bytes, start, end, (part, _part, at) => {
      if (part === 1) high = exactVarint(bytes, at)
      if (part === 2) low = exactVarint(bytes, at)
    })
    text = dashed(((BigInt.asUintN(64, high) << 64n) | BigInt.asUintN(64, low)).toString(16).padStart(32, '0'))
  })
  if (!FORM.test(text)) throw new RangeError(`"${text}" is not a UUID.`)
  return text
}

function dashed(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The UUID message in its structured form, which clients other than the Node one ask for. */
export function structuredUuid(text: string): Buffer {
  const hex = text.replaceAll('-', '')
  const content = Buffer.concat([
    Buffer.of(0x08),
    bigVarint(BigInt(`0x${hex.slice(0, 16)}`)),
    Buffer.of(0x10),
    bigVarint(BigInt(`0x${hex.slice(16)}`)),
  ])
  return Buffer.concat([Buffer.of(0x0a, content.length), content])
}

function bigVarint(value: bigint): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}
