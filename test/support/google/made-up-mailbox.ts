import { createRandom, type Random } from '../soak/random.ts'
import { type AccountOptions, labelIdOf } from './account.ts'
import { madeUpSociety, type Person, type Society } from './made-up-people.ts'
import { type Facts, filled, type Letter, rawOf } from './made-up-raw.ts'
import { newsletters, notices, products, spam, type Topic, tongues } from './made-up-texts.ts'
import type { NewMessage } from './mailbox.ts'

export type MadeUpMessage = NewMessage & {
  readonly raw: () => Buffer
  readonly labelIds: readonly string[]
  readonly internalDate: number
  readonly thread: string
  readonly messageId: string
  readonly kind: Letter['kind']
  readonly from: string
  /** To and Cc. */
  readonly to: readonly string[]
  readonly subject: string
  readonly isSent: boolean
}

export type MadeUpMailbox = Society & {
  /** For the simulated Google, without the messages. */
  readonly account: AccountOptions
  /** Oldest first. */
  readonly messages: readonly MadeUpMessage[]
}

export type MadeUpMailboxOptions = {
  /** The mails are of the two years before, milliseconds since 1970. */
  now: number
  messages?: number
  threads?: number
  /** Those who take part in conversations; newsletters, notices and spam come from others. */
  people?: number
  seed?: number
}

const labels = ['Customers', 'Suppliers', 'Projects', 'Follow up']
const hourMs = 3_600_000
const dayMs = 24 * hourMs

/**
 * A mailbox that reads as somebody's who sells measuring instruments: conversations with people who sign with name, title, company and telephone, in six
 * languages; newsletters, notices, bounces, spam, drafts. The same options, the same bytes. What a message says is made when it is asked for.
 * @throws when there are fewer conversations than people, or fewer messages than threads
 */
export function madeUpMailbox({ now, messages = 2_000, threads = 400, people = 120, seed = 1 }: MadeUpMailboxOptions): MadeUpMailbox {
  const society = madeUpSociety(people, seed)
  const random = createRandom(seed * 31 + 7)
  const share = (part: number) => Math.round(threads * part)
  const counts = { newsletter: share(0.11), notice: share(0.09), spam: share(0.03), bounce: share(0.01) }
  const single = counts.newsletter + counts.notice + counts.spam
  const conversations = threads - single - counts.bounce
  const left = messages - single - 2 * counts.bounce
  if (conversations < people || left < conversations)
    throw new Error(
      `${threads} threads of ${messages} messages are too few for ${people} people: ${conversations} of them are conversations`,
    )

  const account = { address: society.owner.address, name: society.owner.name, aliases: society.owner.aliases, labels }
  const letters = lengths(conversations, left, random).flatMap((length, index) => {
    // Everybody writes at least once; some write far more than others.
    const person = society.people[index < people ? index : Math.floor(random.next() ** 2 * people)]!
    return conversation({ society, person, length, thread: index, now, random: createRandom(seed * 100_003 + index) })
  })
  for (let number = 0; number < single + counts.bounce; number += 1) {
    const thread = conversations + number
    const own = createRandom(seed * 100_003 + thread)
    const of = { society, thread, at: moment(now, own), random: own }
    if (number < counts.newsletter) letters.push(newsletter(of))
    else if (number < counts.newsletter + counts.notice) letters.push(notice(of))
    else if (number < single) letters.push(junk(of))
    else letters.push(...bounce(of))
  }
  letters.sort((a, b) => a.at - b.at || a.thread - b.thread)
  return { ...society, account, messages: letters.map((letter) => messageOf(letter, account, society, now)) }
}

function messageOf(letter: Letter, account: AccountOptions, { owner, companies }: Society, now: number): MadeUpMessage {
  const { kind, at, thread, messageId, from, to, cc, subject } = letter
  const random = createRandom(thread * 1_009 + letter.place)
  const ageDays = (now - at) / dayMs
  const isSent =
    kind === 'mail' && from.address.endsWith(`@${owner.company.domain}`) && [owner.address, ...owner.aliases].includes(from.address)
  const labelIds: string[] = []
  if (kind === 'draft') labelIds.push('DRAFT')
  else if (kind === 'spam') labelIds.push('SPAM', 'UNREAD')
  else if (isSent) labelIds.push('SENT')
  else {
    const isTrash = kind === 'newsletter' && random.chance(0.25)
    if (isTrash) labelIds.push('TRASH')
    else if (ageDays < 60 || random.chance(0.35)) labelIds.push('INBOX')
    if (random.chance(ageDays < 5 ? 0.5 : 0.01)) labelIds.push('UNREAD')
    if (kind === 'newsletter') labelIds.push('CATEGORY_PROMOTIONS')
    else if (kind === 'notice' || kind === 'bounce') labelIds.push('CATEGORY_UPDATES')
    else if (random.chance(0.3)) labelIds.push('IMPORTANT')
    if (kind === 'mail' && random.chance(0.03)) labelIds.push('STARRED')
  }
  // A company is a customer or a supplier, once and for all.
  const company = letter.counterpart && companies.indexOf(letter.counterpart.company)
  if (company && kind !== 'draft' && thread % 5 < 3) labelIds.push(labelIdOf(account, labels[company % labels.length]!))
  const addresses = [...to, ...cc].map(({ address }) => address)
  const listed = { thread: `${thread}`, messageId, kind, from: from.address, to: addresses, subject, isSent, labelIds, internalDate: at }
  return { ...listed, raw: () => rawOf(letter, owner.company.domain) }
}

/** So many numbers, none below 1, whose sum is given; a few are large. */
function lengths(count: number, sum: number, random: Random): number[] {
  const weights = Array.from({ length: count }, () => 0.05 + random.next() ** 2)
  const all = weights.reduce((total, weight) => total + weight, 0)
  const numbers = weights.map((weight) => 1 + Math.floor(((sum - count) * weight) / all))
  const missing = sum - numbers.reduce((total, number) => total + number, 0)
  for (let index = 0; index < missing; index += 1) numbers[index % count]! += 1
  return numbers
}

/** Some time within the two years, more often of late. */
function moment(now: number, random: Random): number {
  const ageDays = random.chance(0.06) ? random.between(0.02, 7) : random.between(0.5, 729)
  return Math.floor((now - ageDays * dayMs) / 1000) * 1000
}

/** The same time, or the next in office hours. */
function inOfficeHours(at: number, random: Random): number {
  const date = new Date(at)
  const hour = date.getUTCHours()
  const isWeekend = date.getUTCDay() % 6 === 0
  if (!isWeekend && hour >= 7 && hour < 18) return at
  const begin = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + (hour >= 18 || isWeekend ? 1 : 0), 7)
  return inOfficeHours(begin + Math.floor(random.between(0, 3 * 3600)) * 1000, random)
}

function times(now: number, count: number, random: Random): number[] {
  const all: number[] = []
  let at = moment(now, random)
  for (let index = 0; index < count; index += 1) {
    at = inOfficeHours(at, random)
    all.push(at)
    const kind = random.next()
    const gapMs =
      kind < 0.5 ? random.between(0.15, 4) * hourMs : kind < 0.85 ? random.between(4, 30) * hourMs : random.between(2, 6) * dayMs
    at += Math.floor(gapMs / 1000) * 1000
  }
  // What would be in the future was some weeks ago, on the same days of the week.
  const weeks = Math.max(0, Math.ceil((all.at(-1)! - now) / (7 * dayMs)))
  return all.map((time) => time - weeks * 7 * dayMs)
}

type Of = { society: Society; thread: number; at: number; random: Random }

function factsOf({ companies, owner }: Society, person: Person | undefined, random: Random): Facts {
  const language = person?.language ?? 'en'
  const cents = Math.floor(random.between(80, 9_000)) * 10
  return {
    language,
    product: random.pick(products[language]),
    number: `${Math.floor(random.between(2, 60))}`,
    amount: `${cents.toLocaleString(language === 'en' ? 'en-GB' : 'de-DE')}.00 EUR`.replace(/\.00/, language === 'en' ? '.00' : ',00'),
    reference: `${random.pick(['R', 'A', 'PO', 'Q'])}-${Math.floor(random.between(10_000, 99_999))}`,
    city: person?.company.city ?? random.pick(companies).city,
    company: owner.company.name,
  }
}

function conversation({
  society,
  person,
  length,
  thread,
  now,
  random,
}: Omit<Of, 'at'> & { person: Person; length: number; now: number }): Letter[] {
  const { owner, people } = society
  const { language, company } = person
  const tongue = tongues[language]
  const facts = factsOf(society, person, random)
  const first = Math.floor(random.next() * tongue.topics.length)
  const topic = tongue.topics[first]!
  const ownAddress = random.weighted({ 0: 16, 1: 3, 2: 1 })
  const me = { name: owner.name, address: [owner.address, ...owner.aliases][Number(ownAddress)]!, person: owner }
  const near = people.filter((other) => other !== person && (other.company === company || other.company === owner.company))
  const others = random.chance(0.25) ? [random.pick(near), ...(random.chance(0.3) ? [random.pick(near)] : [])].filter(Boolean) : []
  const them = [person, ...new Set(others)].map((one) => ({ name: one.name, address: one.address, person: one }))
  const beginsWithMe = random.chance(0.4)
  const when = times(now, length, random)
  const title = filled(random.pick(topic.subjects), facts, when[0]!, '')

  const letters: Letter[] = []
  for (const [place, at] of when.entries()) {
    const isMine = (place % 2 === 0) === beginsWithMe
    const from = isMine ? me : place > 0 && random.chance(0.15) ? random.pick(them) : them[0]!
    const isAway = !isMine && place > 0 && random.chance(0.03)
    const isDraft = isMine && place === length - 1 && place > 0 && random.chance(0.08)
    const others = [me, ...them].filter((one) => one.address !== from.address)
    const [to, ...cc] = isMine || isAway ? (isAway ? [me] : them) : others
    letters.push({
      kind: isAway ? 'away' : isDraft ? 'draft' : 'mail',
      thread,
      place,
      at,
      offset: from.person.company.offset,
      messageId: `<${(at % 0xfffffff).toString(36)}.${thread}.${place}@${from.address.split('@')[1]}>`,
      from,
      to: [to!],
      cc,
      subject: place === 0 ? title : isAway ? `${tongue.away.subject}${title}` : `${tongue.replyPrefix}${title}`,
      facts,
      body: isAway ? tongue.away.text : bodyOf(tongue.topics, first, place, length, random),
      answers: letters.at(-1),
      counterpart: person,
      ...(topic.file && !isAway && random.chance(place < 2 ? 0.35 : 0.08) && { file: topic.file }),
    })
  }
  return letters
}

/** A topic's replies in their order, from somewhere near their beginning; when all have been used, another topic's. */
function bodyOf(topics: readonly Topic[], first: number, place: number, length: number, random: Random): string {
  if (place === 0) return random.pick(topics[first]!.openings)
  if (place === length - 1 && length > 3) return ''
  let at = place - 1
  for (let index = first; ; index += 1) {
    const { replies } = topics[index % topics.length]!
    if (at < replies.length) return replies[at]!
    at -= replies.length
  }
}

/** A message that begins and ends its thread, from somebody who is nobody. */
const lone = (
  { society, thread, at, random }: Of,
  kind: Letter['kind'],
  from: { name: string; address: string },
  subject: string,
  body: string,
): Letter => {
  const { owner } = society
  const facts = factsOf(society, undefined, random)
  return {
    kind,
    thread,
    place: 0,
    at,
    offset: '+0000',
    messageId: `<${kind}.${thread}.${(at % 0xfffffff).toString(36)}@${from.address.split('@')[1]}>`,
    from,
    to: [{ name: owner.name, address: kind === 'spam' ? owner.aliases[1]! : owner.address }],
    cc: [],
    subject: filled(subject, facts, at, ''),
    facts,
    body,
  }
}

function newsletter(of: Of): Letter {
  const { name, address, listId, subjects, text } = of.random.pick(newsletters)
  return { ...lone(of, 'newsletter', { name, address }, of.random.pick(subjects), text), listId }
}

function notice(of: Of): Letter {
  const { name, address, subjects, text } = of.random.pick(notices)
  return lone(of, 'notice', { name, address }, of.random.pick(subjects), text)
}

function junk(of: Of): Letter {
  const { subject, text, address } = of.random.pick(spam)
  return lone(of, 'spam', { name: 'Customer Care', address }, subject, text)
}

/** A mail to an address with a letter too many, and what comes back. */
function bounce(of: Of): Letter[] {
  const { owner, people } = of.society
  const person = of.random.pick(people)
  const wrong = { name: person.name, address: person.address.replace('@', 'e@') }
  const at = inOfficeHours(of.at, of.random)
  const { openings, subjects } = tongues.en.topics[0]!
  const sent = lone(
    { ...of, at: at > of.at ? of.at : at },
    'mail',
    { name: owner.name, address: owner.address },
    of.random.pick(subjects),
    of.random.pick(openings),
  )
  const mine = { ...sent, from: { ...sent.from, person: owner }, to: [wrong] }
  const back = lone(
    { ...of, at: mine.at + 4_000 },
    'bounce',
    { name: 'Mail Delivery Subsystem', address: `mailer-daemon@${owner.company.domain}` },
    '',
    '',
  )
  return [mine, { ...back, place: 1, subject: 'Delivery Status Notification (Failure)', answers: mine, body: wrong.address }]
}
