import { invalidArgument } from './errors.ts'
import type { Stored } from './mailbox.ts'

type Matches = (message: Stored) => boolean

const labels: Record<string, string> = {
  inbox: 'INBOX',
  sent: 'SENT',
  spam: 'SPAM',
  trash: 'TRASH',
  drafts: 'DRAFT',
  draft: 'DRAFT',
  unread: 'UNREAD',
  starred: 'STARRED',
  important: 'IMPORTANT',
}

/**
 * As much of Gmail's search (https://support.google.com/mail/answer/7190) as tells by time and label.
 * @throws GoogleError for what is not simulated: silently finding nothing would be worse
 */
export function searchOf(q: string): Matches {
  const terms = q.trim().split(/\s+/).filter(Boolean)
  const all = terms.map((term) => {
    const isNot = term.startsWith('-')
    const matches = termOf(isNot ? term.slice(1) : term)
    return isNot ? (message: Stored) => !matches(message) : matches
  })
  return (message) => all.every((matches) => matches(message))
}

/** Whether a search asks for spam or trash by itself. */
export const asksFor = (q: string): string[] => [...q.matchAll(/(?:^|\s)(?:in|label):(spam|trash|anywhere)\b/g)].map(([, name]) => name!)

function termOf(term: string): Matches {
  const [, name = '', value = ''] = /^(\w+):(.+)$/.exec(term) ?? []
  if (name === 'after' || name === 'newer') return ({ internalDate }) => internalDate >= instantOf(value)
  if (name === 'before' || name === 'older') return ({ internalDate }) => internalDate < instantOf(value)
  if (name === 'in' && value === 'anywhere') return () => true
  if (name === 'in' && value === 'chats') return () => false
  if (['in', 'label', 'is'].includes(name)) return ({ labelIds }) => labelIds.includes(labels[value.toLowerCase()] ?? value)
  throw invalidArgument(`The simulated Gmail does not know how to search for ${term}`)
}

/** Seconds since 1970, or a day, which begins at midnight of Google's own time zone; here that is UTC. */
function instantOf(text: string): number {
  if (/^\d{9,}$/.test(text)) return Number(text) * 1000
  const [, year, month, day] = /^(\d{4})[/-](\d{1,2})[/-](\d{1,2})$/.exec(text) ?? []
  if (year === undefined) throw invalidArgument(`${text} is not a day`)
  return Date.UTC(Number(year), Number(month) - 1, Number(day))
}
