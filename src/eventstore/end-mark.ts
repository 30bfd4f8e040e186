import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'

export type EndMark = { read(): number; write(position: number): void; close(): void }

/**
 * A small file beside the log that says which position was acknowledged last. SQLite drops a damaged or missing tail of its
 * write-ahead log without a word: the mark is what makes such a loss show. It is written after the commit and not
 * synced, so after a power cut it may lag behind the log but is never ahead of it.
 */
export function openEndMark(file: string): EndMark {
  const handle = openSync(`${file}.end`, 'a+')
  closeSync(handle)
  const descriptor = openSync(`${file}.end`, 'r+')
  const bytes = Buffer.alloc(12)
  return {
    read() {
      if (fstatSync(descriptor).size < 12) return 0
      readSync(descriptor, bytes, 0, 12, 0)
      // A mark that a power cut left half written says nothing.
      return crc32(bytes.subarray(0, 8)) === bytes.readUInt32LE(8) ? Number(bytes.readBigUInt64LE(0)) : 0
    },
    write(position) {
      bytes.writeBigUInt64LE(BigInt(position), 0)
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8)
      writeSync(descriptor, bytes, 0, 12, 0)
    },
    close: () => closeSync(descriptor),
  }
}

export function removeEndMark(file: string): void {
  rmSync(`${file}.end`, { force: true })
}
