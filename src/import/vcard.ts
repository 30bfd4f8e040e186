import { contactRow, faultRow, MAX_CONTACT_CHARACTERS, type Row } from './contact-input.ts'
import { cardDraft, isPersonless } from './vcard-contact.ts'
import { type Line, lines, type Property, parseProperty } from './vcard-lines.ts'

type Card = { line: number; raw: string[]; characters: number; properties: Property[] }

/** What no contact needs and may be large. Left out while it is read, so that no picture takes memory. */
const SKIPPED = /^(?:PHOTO|LOGO|SOUND|KEY|X-MS-CARDPICTURE|X-MS-OL-DESIGN|X-PHOTO)$/

/**
 * Reads vCard 2.1, 3.0 (RFC 2426) and 4.0 (RFC 6350), any number a file, mixed too. A card that does not end, or is larger than 1 MiB
 * without its pictures, is a fault; the next one is read.
 */
export async function* readVcards(text: AsyncIterable<string>): AsyncGenerator<Row> {
  let card: Card | undefined
  let open = '' // the content line that the next lines may continue
  let skipping = false // its value is not wanted
  let agents = 0 // depth of a card inside a card (AGENT): its lines are not this contact's
  let outside: Line | undefined // the first line of a stretch that is in no card

  const close = () => {
    if (open && card && !skipping) {
      const property = parseProperty(open)
      if (property) card.properties.push(property)
    }
    open = ''
    skipping = false
  }
  const unfinished = (begun: Card) => faultRow(begun.line, begun.raw.join('\n'), 'The card that begins here has no END:VCARD.')
  const stray = (line: Line) => faultRow(line.number, line.text, 'What stands here is in no card.')

  for await (const line of lines(text)) {
    const marker = /^\s*(BEGIN|END)\s*:\s*VCARD\s*$/i.exec(line.text)?.[1]?.toUpperCase()
    if (!card) {
      if (marker === 'BEGIN') {
        if (outside) yield stray(outside)
        outside = undefined
        card = { line: line.number, raw: [line.text], characters: 0, properties: [] }
      } else if (line.text.trim()) outside ??= line
      continue
    }
    if (marker === 'BEGIN' && (agents > 0 || /(?:^|\.)AGENT\b[^:]*:\s*$/i.test(open))) {
      if (agents++ === 0) close()
    } else if (marker === 'BEGIN') {
      yield unfinished(card)
      card = { line: line.number, raw: [line.text], characters: 0, properties: [] }
      open = ''
      skipping = false
    } else if (marker === 'END' && agents > 0) agents--
    else if (marker === 'END') {
      close()
      keep(card, line)
      yield toRow(card)
      card = undefined
    } else if (agents > 0) keep(card, line)
    else if (continues(open, line.text, skipping)) {
      if (skipping) continue
      keep(card, line)
      if (card.characters <= MAX_CONTACT_CHARACTERS) open = joined(open, line.text, versionOf(card))
    } else {
      close()
      open = line.text
      const name = /^(?:[^.:;]*\.)?([\w-]+)[;:]/.exec(line.text)?.[1] ?? ''
      skipping = SKIPPED.test(name.toUpperCase())
      if (!skipping) keep(card, line)
      else card.raw.push(`${name}:…`)
    }
  }
  if (card) yield unfinished(card)
  if (outside) yield stray(outside)
}

function keep(card: Card, line: Line) {
  card.characters += line.text.length + (line.cut ? 1 : 0)
  if (card.characters <= MAX_CONTACT_CHARACTERS) card.raw.push(line.text)
}

function toRow(card: Card): Row {
  const raw = card.raw.join('\n')
  if (card.characters > MAX_CONTACT_CHARACTERS) return faultRow(card.line, raw, 'The card is larger than 1 MiB, pictures not counted.')
  if (isPersonless(card.properties)) return faultRow(card.line, raw, 'The card is a group of contacts, not a contact.')
  return contactRow(card.line, raw, cardDraft(card.properties))
}

const versionOf = ({ properties }: Card): string => properties.find(({ name }) => name === 'VERSION')?.value.trim() ?? '3.0'

const isQuotedPrintable = (line: string): boolean => /^[^:]*;\s*(?:ENCODING\s*=\s*)?(?:QUOTED-PRINTABLE|Q)\s*(?:;[^:]*)?:/i.test(line)

/** Whether a line belongs to the one before: folded, after a soft break of quoted-printable, or part of a picture (2.1 need not indent it). */
function continues(open: string, text: string, skipping: boolean): boolean {
  if (!open) return false
  if (/^[ \t]/.test(text)) return true
  if (skipping) return !/^(?:[\w-]+\.)?[\w-]+(?:;[^:]*)?:/.test(text)
  return open.endsWith('=') && isQuotedPrintable(open)
}

/** vCard 2.1 folds at a space that belongs to the text; later versions put one in. */
function joined(open: string, text: string, version: string): string {
  if (open.endsWith('=') && isQuotedPrintable(open)) return open.slice(0, -1) + text
  return open + (version.startsWith('2') ? text : text.slice(1))
}
