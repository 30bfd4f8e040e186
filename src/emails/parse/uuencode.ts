export type UuFile = { readonly name: string; readonly content: Buffer }

const BEGIN = /^begin(?:-base64)? [0-7]{3,4} (\S.*?)\s*$/
const BEGIN_BASE64 = /^begin-base64 /
const END = /^(?:end|====)\s*$/

/**
 * Takes out of a text the files that are encoded in it (POSIX uuencode, both alphabets). What is no whole file, from its `begin` to its `end`, stays text.
 */
export function takeUuencoded(text: string): { text: string; files: UuFile[] } {
  if (!/^begin(?:-base64)? [0-7]{3,4} /m.test(text)) return { text, files: [] }
  const files: UuFile[] = []
  const rest: string[] = []
  const lines = text.split(/\r?\n/)
  for (let at = 0; at < lines.length; at++) {
    const name = BEGIN.exec(lines[at]!)?.[1]
    const file = name ? fileAt(lines, at) : null
    if (!file) rest.push(lines[at]!)
    else {
      files.push({ name: name!, content: file.content })
      at = file.last
    }
  }
  return { text: rest.join('\n'), files }
}

function fileAt(lines: readonly string[], begin: number): { content: Buffer; last: number } | null {
  const pieces: Buffer[] = []
  const base64 = BEGIN_BASE64.test(lines[begin]!)
  for (let at = begin + 1; at < lines.length; at++) {
    const line = lines[at]!
    if (END.test(line)) return { content: Buffer.concat(pieces), last: at }
    const piece = base64 ? Buffer.from(line, 'base64') : decodeLine(line)
    if (!piece) return null
    pieces.push(piece)
  }
  return null
}

/** The first character says how many bytes follow, four characters for three of them; null when it is no such line. */
function decodeLine(line: string): Buffer | null {
  if (line === '') return Buffer.alloc(0)
  const size = (line.charCodeAt(0) - 32) & 63
  const groups = Math.ceil(size / 3)
  // Spaces at the end, which stand for zero, are often lost; a checksum may follow.
  if (line.length > groups * 4 + 2 || line.length + 4 < groups * 4) return null
  if (/[^ -`]/.test(line)) return null
  const bytes = Buffer.alloc(groups * 3)
  const sextet = (at: number) => ((line.charCodeAt(at) || 32) - 32) & 63
  for (let group = 0; group < groups; group++) {
    const at = 1 + group * 4
    const bits = (sextet(at) << 18) | (sextet(at + 1) << 12) | (sextet(at + 2) << 6) | sextet(at + 3)
    bytes.writeUIntBE(bits, group * 3, 3)
  }
  return bytes.subarray(0, size)
}
