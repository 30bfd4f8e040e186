import type { Defect } from './defects.ts'
import { withinTime } from './time-limit.ts'
import { visibleText } from './visible-text.ts'

const MILLISECONDS = 250
const MAX_CHARACTERS = 256 * 1024

/** How the parser's expressions for the line above a quote begin. Each tries the whole text from every such line. */
const INTRODUCTION = /^[ \t-]*(?:On|Le|El|Il|Em|Am|Op|W dniu|Dnia|Den|pe|ср|在|20\d\d|From|Von|De|Van|Da|In data|[a-z]{3,4}\.)/
const HARMLESS = { characters: 8_000, lineCharacters: 600, introductions: 20, emptyLines: 6 }

/** Too short and too plain for any expression to take long, as most texts are: then the watch, which costs more than the parser, is not needed. */
function isHarmless(text: string): boolean {
  if (text.length > HARMLESS.characters) return false
  let introductions = 0
  let emptyLines = 0
  for (const line of text.split('\n')) {
    emptyLines = line.trim() === '' ? emptyLines + 1 : 0
    if (line.length > HARMLESS.lineCharacters || emptyLines > HARMLESS.emptyLines) return false
    if (INTRODUCTION.test(line) && ++introductions > HARMLESS.introductions) return false
  }
  return true
}

/**
 * What the sender wrote: the text without quotes and signature, as email-reply-parser tells them. Its expressions take for ever on some texts;
 * then only lines marked as quotes, and what follows a signature's "-- ", are taken out.
 */
export function ownText(text: string, defects: Set<Defect>): string {
  const whole = text.trim()
  if (whole === '') return ''
  const parse = () => visibleText(whole).trim()
  if (isHarmless(whole)) return parse()
  const own = whole.length <= MAX_CHARACTERS ? withinTime(MILLISECONDS, parse) : null
  if (own !== null) return own
  defects.add('own-text-guessed')
  const lines = whole.split('\n')
  const signature = lines.lastIndexOf('-- ')
  return lines
    .slice(0, signature < 0 ? undefined : signature)
    .filter((line) => !line.startsWith('>'))
    .join('\n')
    .trim()
}
