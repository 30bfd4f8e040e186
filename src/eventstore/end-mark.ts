import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'

export type EndMark = { read(): number; write(position: number): void; close(): void }

const MARK_BYTES = 12

/**
 * A small file beside the log that says which position was acknowledged last. SQLite drops a damaged or missing tail of its
 * write-ahead log without a word: the mark is what makes such a loss show. It is written after the commit and not
 * synced, so after a power cut it may lag behind the log but is never ahead of it.
 */
export function openEndMark(file: string): EndMark {
  closeSync(openSync(`${file}.end`, 'a'))
  const descriptor = openSync(`${file}.end`, 'r+')
  const bytes = Buffer.alloc(MARK_BYTES)
  return {
    read: () => readEndMark(bytes.subarray(0, readSync(descriptor, bytes, 0, MARK_BYTES, 0))),
    write(position) {
      bytes.writeBigUInt64LE(BigInt(position), 0)
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8)
      writeSync(descriptor, bytes, 0, MARK_BYTES, 0)
    },
    close: () => closeSync(descriptor),
  }
}

/** The position that a mark's bytes say; 0 where a power cut left it empty or half written. */
export function readEndMark(bytes: Buffer): number {
  if (bytes.length < MARK_BYTES) return 0
  return crc32(bytes.subarray(0, 8)) === bytes.readUInt32LE(8) ? Number(bytes.readBigUInt64LE(0)) : 0
}

export function removeEndMark(file: string): void {
  rmSync(`${file}.end`, { force: true })
}
