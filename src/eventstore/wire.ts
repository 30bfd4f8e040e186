/**
 * The protobuf wire format, by hand where it is hot: a request is read in place, and an event is written once, as the
 * very bytes that readers are sent. Everything rare goes through the generated classes.
 */

const POWER = Array.from({ length: 10 }, (_, index) => 128 ** index)

let cursor = 0

/** Numbers above 2^53 come out rounded: they only ever mean "beyond everything" (the end, a revision never reached). */
function varint(bytes: Buffer): number {
  let byte = bytes[cursor++]!
  if (byte < 128) return byte
  let value = byte & 127
  for (let index = 1; ; index++) {
    byte = bytes[cursor++]!
    if (byte === undefined || index > 9) throw new RangeError('A protobuf message ends in the middle of a number.')
    value += (byte & 127) * POWER[index]!
    if (byte < 128) return value
  }
}

/** The unsigned 64-bit number at `start`, exact. */
export function exactVarint(bytes: Buffer, start: number): bigint {
  let value = 0n
  for (let index = 0; ; index++) {
    const byte = bytes[start + index]!
    value |= BigInt(byte & 127) << BigInt(7 * index)
    if (byte < 128) return value
  }
}

/**
 * Visits the fields of a message between `from` and `to`. Numbers come as `value` (and `start`, where they begin); strings, bytes
 * and messages as the range `start` to `end`.
 */
export function eachField(
  bytes: Buffer,
  from: number,
  to: number,
  visit: (field: number, value: number, start: number, end: number) => void,
): void {
  let at = from
  while (at < to) {
    cursor = at
    const tag = varint(bytes)
    const field = Math.floor(tag / 8)
    const start = cursor
    switch (tag & 7) {
      case 0: {
        const value = varint(bytes)
        at = cursor
        visit(field, value, start, at)
        break
      }
      case 2: {
        const size = varint(bytes)
        const begin = cursor
        at = begin + size
        if (at > to) throw new RangeError('A protobuf message is shorter than it says.')
        visit(field, size, begin, at)
        break
      }
      case 1:
        at = start + 8
        visit(field, 0, start, at)
        break
      case 5:
        at = start + 4
        visit(field, 0, start, at)
        break
      default:
        throw new RangeError('A protobuf message has a field of an unknown kind.')
    }
  }
}

export function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++
  return size
}

/** Writes and returns the offset after it. */
export function putVarint(target: Buffer, offset: number, value: number): number {
  let at = offset
  let rest = value
  while (rest >= 2147483648) {
    target[at++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  while (rest >= 128) {
    target[at++] = (rest & 127) | 128
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

/** The gRPC frame of a message: a byte for "not compressed", four for the length, the message. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(message.length + 5)
  framed[0] = 0
  framed.writeUInt32BE(message.length, 1)
  framed.set(message, 5)
  return framed
}

/** A message with one nested field, as bytes. */
export function nested(field: number, content: Uint8Array): Buffer {
  const written = Buffer.allocUnsafe(1 + varintSize(content.length) + content.length)
  written[0] = (field << 3) | 2
  written.set(content, putVarint(written, 1, content.length))
  return written
}
