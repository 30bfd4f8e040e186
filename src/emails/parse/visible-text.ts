import { remembered } from '../../platform/remembered.ts'

/*
 * email-reply-parser tries each of its fifty expressions on each line, several times over, and turns the line round for each. Here it is asked the same, but
 * its answers are remembered, and one expression that is all of a list tells whether any of the list can match. Its parts are not in its types nor in
 * its exports, which is why the version is pinned and a test holds this to what the library says by itself.
 */
type Parts = { stringReverse(text: string): string; isSignature(line: string): boolean; isQuoteHeader(line: string): boolean }
type EmailParser = Parts & { fixBrokenSignatures(text: string): string; parse(text: string): { getVisibleText(): string } }

const part = async <T>(file: string): Promise<T> => (await import(new URL(file, import.meta.resolve('email-reply-parser')).href)).default
const Parser = await part<new () => EmailParser>('parser/emailparser.js')
const lists = await part<{ quoteHeadersRegex: RegExp[]; signatureRegex: RegExp[] }>('regex.js')

/** Whether any of them matches. Each begins at the beginning of a line, so all together do, and ignoring case they match whatever one of them does. */
function anyOf(expressions: readonly RegExp[]) {
  const all = new RegExp(`^(?:${expressions.map(({ source }) => `(?:${source.replace(/^\^/, '')})`).join('|')})`, 'im')
  return { may: (text: string) => all.test(text), does: (line: string) => all.test(line) && expressions.some((one) => one.test(line)) }
}
const header = anyOf(lists.quoteHeadersRegex)
const signature = anyOf(lists.signatureRegex)

/** For one mail alone, so that there are no more than it has lines. */
const kept = <T>(ask: (line: string) => T) => remembered(ask, Number.POSITIVE_INFINITY)

/** What email-reply-parser takes for the sender's own: the text without quotes and signature. */
export function visibleText(text: string): string {
  const parser = new Parser()
  const stringReverse = kept(reversed)
  const fix = parser.fixBrokenSignatures.bind(parser)
  Object.assign(parser, {
    stringReverse,
    isSignature: kept((line) => signature.does(stringReverse(line))),
    isQuoteHeader: kept((line) => header.does(stringReverse(line))),
    fixBrokenSignatures: (text: string) => (header.may(text) ? fix(text) : text),
  })
  return parser.parse(text).getVisibleText()
}

/** Letters that are bytes are turned round as bytes, without a string for each. */
function reversed(text: string): string {
  if (/^[\0-\xff]*$/.test(text)) return Buffer.from(text, 'latin1').reverse().toString('latin1')
  return text.split('').reverse().join('')
}
