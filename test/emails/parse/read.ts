import { defaultLimits } from '../../../src/emails/parse/limits.ts'
import { type ParsedEmail, parseEmail } from '../../../src/emails/parse/parse-email.ts'

export const secret = Buffer.from('a secret of tests')
export const now = Date.UTC(2026, 0, 1)

/** Parses a mail in this thread; lines end with LF in the text that is given. */
export const read = (mail: string | Buffer, fallbackDate?: string): Promise<ParsedEmail> =>
  parseEmail(Buffer.from(mail), { limits: defaultLimits, secret, now, fallbackDate })

/** The HTML as text. */
export const htmlOf = ({ html }: ParsedEmail): string => Buffer.from(html ?? []).toString()
