import EmailReplyParser from 'email-reply-parser'
import type { Defect } from './defects.ts'
import { withinTime } from './time-limit.ts'

const MILLISECONDS = 250
const MAX_CHARACTERS = 256 * 1024
/** Too short for the parser's expressions to take long. */
const HARMLESS_CHARACTERS = 300

/**
 * What the sender wrote: the text without quotes and signature, as email-reply-parser tells them. Its expressions take for ever on some texts;
 * then only lines marked as quotes, and what follows a signature's "-- ", are taken out.
 */
export function ownText(text: string, defects: Set<Defect>): string {
  const whole = text.trim()
  if (whole === '') return ''
  const parse = () => new EmailReplyParser().parseReply(whole).trim()
  if (whole.length <= HARMLESS_CHARACTERS) return parse()
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
