import { crc32, inflateRawSync } from 'node:zlib'

/** The files of a zip by its central directory, as any program reads it. @throws Error where it is not whole, or a checksum is wrong */
export function unzip(zip: Buffer): Map<string, Buffer> {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  if (end < 0) throw new Error('there is no end of a central directory: it is not whole')
  const count = zip.readUInt16LE(end + 10)
  const files = new Map<string, Buffer>()
  for (let at = zip.readUInt32LE(end + 16), index = 0; index < count; index += 1) {
    if (zip.readUInt32LE(at) !== 0x02014b50) throw new Error(`there is no entry at ${at}`)
    const [method, crc, packed, size] = [
      zip.readUInt16LE(at + 10),
      zip.readUInt32LE(at + 16),
      zip.readUInt32LE(at + 20),
      zip.readUInt32LE(at + 24),
    ]
    const [nameLength, extra, comment] = [zip.readUInt16LE(at + 28), zip.readUInt16LE(at + 30), zip.readUInt16LE(at + 32)]
    const local = zip.readUInt32LE(at + 42)
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength)
    const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
    const bytes = zip.subarray(from, from + packed)
    const content = method === 8 ? inflateRawSync(bytes) : bytes
    if (content.length !== size || crc32(content) !== crc) throw new Error(`${name} is not as it was put in`)
    files.set(name, content)
    at += 46 + nameLength + extra + comment
  }
  return files
}
