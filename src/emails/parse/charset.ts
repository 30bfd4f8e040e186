import { isAscii, isUtf8 } from 'node:buffer'
import { TextDecoder } from 'node:util'
import { decodeWords } from 'postal-mime'
import type { Defect } from './defects.ts'

const utf8 = new TextDecoder()
const windows1252 = new TextDecoder('windows-1252')
/** Labels under which UTF-8 is sent by mistake: real text in them is hardly ever valid UTF-8. */
const LATIN = /^(?:iso[-_]?8859-?15?|latin1|windows-1252|cp1252)$/
const NO_LABEL = /^(?:utf-?8|(?:us-)?ascii|ansi_x3\.4-1968|)$/
const decoders = new Map<string, TextDecoder | null>()

/**
 * The text of a part in the charset that it names, as far as that can be true: bytes win over labels.
 * @param label the charset parameter
 */
export function decodeText(bytes: Uint8Array, label: string | undefined, defects: Set<Defect>): string {
  const name =
    label
      ?.trim()
      .toLowerCase()
      .replace(/^["']+|["']+$/g, '') ?? ''
  const shifts = bytes.includes(0x1b) || /^utf-?(?:7|16|32)|^ucs|^unicode$/.test(name)
  if (isAscii(bytes) && !shifts) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  if (name === '' && isAscii(bytes)) return decoderFor('iso-2022-jp')!.decode(bytes)
  if (NO_LABEL.test(name) || LATIN.test(name)) {
    if (isUtf8(bytes)) {
      if (name !== '' && !name.startsWith('utf')) defects.add('charset-guessed')
      return utf8.decode(bytes)
    }
    if (LATIN.test(name)) return (decoderFor(name) ?? windows1252).decode(bytes)
    defects.add('charset-guessed')
    return mostlyUtf8(bytes)
  }
  const decoder = decoderFor(name)
  const text = decoder ? decoder.decode(bytes) : decodeUnlisted(bytes, name)
  if (!decoder && text === windows1252.decode(bytes)) defects.add('charset-unknown')
  if (!text.includes('\uFFFD')) return text
  defects.add('charset-guessed')
  return isUtf8(bytes) ? utf8.decode(bytes) : text
}

function decoderFor(label: string): TextDecoder | null {
  const known = decoders.get(label)
  if (known !== undefined) return known
  let decoder: TextDecoder | null = null
  try {
    decoder = new TextDecoder(label)
  } catch {
    // Not a label of the WHATWG Encoding Standard.
  }
  // Senders choose the labels, so what is remembered of them must be bounded.
  if (decoders.size < 200) decoders.set(label, decoder)
  return decoder
}

/** postal-mime knows labels that TextDecoder does not (cp932, x-euc-jp …), and takes the others as Windows-1252. */
function decodeUnlisted(bytes: Uint8Array, label: string): string {
  if (isUtf8(bytes)) return utf8.decode(bytes)
  if (/[?\s*]/.test(label)) return windows1252.decode(bytes)
  return decodeWords(`=?${label}?B?${Buffer.from(bytes).toString('base64')}?=`)
}

/** UTF-8 with a few broken characters stays UTF-8; what is broken more often than not is taken as Windows-1252. */
function mostlyUtf8(bytes: Uint8Array): string {
  const text = utf8.decode(bytes)
  let broken = 0
  let whole = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === 0xfffd) broken++
    else if (unit > 0x7f) whole++
  }
  return broken <= whole ? text : windows1252.decode(bytes)
}
