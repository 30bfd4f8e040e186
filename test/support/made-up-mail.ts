import { attached, encoded, multipart, word, wrapped } from './mime.ts'
import { createRandom } from './soak/random.ts'

/** Mails that nobody has written, as many as one likes, for files of mail: threads with replies and quotes, in several charsets and encodings, with HTML and attachments. The same seed, the same bytes. (For a mailbox that reads as somebody's, see google/made-up-mailbox.ts.) */
export type MadeUp = {
  readonly raw: Buffer
  readonly messageId: string
  readonly from: string
  readonly sent: boolean
  readonly subject: string
  readonly thread: number
  readonly attachments: number
  readonly hasHtml: boolean
}

export const OWN_ADDRESS = 'me@own.example'

export const randoms = (seed: number) => createRandom(seed).next

const FIRST = ['Ada', 'Émile', 'Grace', 'Jürgen', 'Łucja', 'Noor', 'Søren', 'Željka', 'Yuki', 'Zoë', 'Omar', 'Inês']
const LAST = ['Amber', 'Birch', 'Cedar', 'Dahlia', 'Elm', 'Fern', 'Gorse', 'Hazel', 'Iris', 'Juniper']
const WORDS =
  'offer meeting plan quarter invoice contract review draft schedule budget Angebot Größe café naïve résumé number answer question team project delivery signed copy next week Friday morning please send thanks regards'.split(
    ' ',
  )
const START = Date.UTC(2024, 0, 1)
const PER_THREAD = 5

/** Mail number `index` of the mailbox that `seed` makes. It answers the one before it in its thread. */
export function madeUpMail(index: number, seed = 1): MadeUp {
  const random = randoms(seed * 1_000_003 + index)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const thread = Math.floor(index / PER_THREAD)
  const place = index % PER_THREAD
  const other = Math.floor(randoms(seed * 7_919 + thread)() * FIRST.length * LAST.length)
  const person = { name: `${FIRST[other % FIRST.length]} ${LAST[other % LAST.length]}`, address: `p${other}@people.example` }
  const sent = place % 2 === 1
  const words = (count: number) => Array.from({ length: count }, () => pick(WORDS)).join(' ')
  const idOf = (number: number) => `<made-up-${seed}-${number}@mail.example>`
  const topic = `${WORDS[thread % WORDS.length]} ${WORDS[(thread * 7) % WORDS.length]} ${thread}`
  const subject = place === 0 ? topic : `Re: ${topic}`
  const latin = random() < 0.2
  const paragraphs = Array.from({ length: 1 + Math.floor(random() * 5) }, () => wrapped(words(10 + Math.floor(random() * 60))))
  const quote =
    place === 0
      ? []
      : [
          `On some day ${person.name} wrote:`,
          ...wrapped(words(30))
            .split('\n')
            .map((line) => `> ${line}`),
        ]
  const fromLine = random() < 0.1 ? ['From here on it is somebody else who writes.'] : []
  const text = [`Mail ${index}.`, ...paragraphs, ...fromLine, ...quote, '', '-- ', person.name].join('\n')
  const hasHtml = random() < 0.4
  const attachments = random() < 0.1 ? 1 + Math.floor(random() * 2) : 0

  const charset = latin ? 'iso-8859-1' : 'utf-8'
  const content = Buffer.from(latin ? text.replaceAll(/[^\0-\xff]/g, '?') : text, latin ? 'latin1' : 'utf8')
  const plain = encoded('text/plain', charset, content, latin || random() < 0.5 ? 'quoted-printable' : 'base64')
  const html = Buffer.from(
    `<html><body>${paragraphs.map((part) => `<p style="color:#333">${part}</p>`).join('')}<img src="https://tracker.example/${index}"><script>x()</script></body></html>`,
  )
  const body = hasHtml ? multipart('alternative', `alt-${index}`, [plain, encoded('text/html', 'utf-8', html, 'quoted-printable')]) : plain
  const files = Array.from({ length: attachments }, (_, at) => {
    const bytes = Buffer.alloc(500 + Math.floor(random() * 15_000), `${seed}/${index}/${at} `)
    return attached('application/pdf', `Größe ${index}-${at}.pdf`, bytes)
  })
  const date = new Date(START + index * 60_000)
  const me = `Me Myself <${OWN_ADDRESS}>`
  const them = `${word(person.name)} <${person.address}>`
  const references = Array.from({ length: place }, (_, at) => idOf(thread * PER_THREAD + at))
  const headers = [
    `Received: from relay.example by mx.own.example; ${date.toUTCString().replace('GMT', '+0000')}`,
    `From: ${sent ? me : them}`,
    `To: ${sent ? them : me}`,
    `Subject: ${word(subject)}`,
    `Date: ${date.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: ${idOf(index)}`,
    ...(place > 0 ? [`In-Reply-To: ${references.at(-1)}`, `References: ${references.join('\n ')}`] : []),
    'MIME-Version: 1.0',
  ]
  const whole = files.length > 0 ? multipart('mixed', `mix-${index}`, [body, ...files]) : body
  const raw = Buffer.from(`${headers.join('\n')}\n${whole}\n`)
  return { raw, messageId: idOf(index), from: sent ? OWN_ADDRESS : person.address, sent, subject, thread, attachments, hasHtml }
}

/** A mailbox file (mboxrd) of so many mails, in pieces. */
export function* madeUpMbox(count: number, seed = 1, from = 0): Generator<Buffer> {
  let pieces: Buffer[] = []
  for (let index = from; index < from + count; index += 1) {
    const { raw, from: sender } = madeUpMail(index, seed)
    const date = new Date(START + index * 60_000).toUTCString().replace(/(\w+), (\d+) (\w+) (\d+) (\S+) GMT/, '$1 $3 $2 $5 $4')
    pieces.push(
      Buffer.from(`From ${sender} ${date}\n`),
      Buffer.from(raw.toString('latin1').replaceAll(/^(>*From )/gm, '>$1'), 'latin1'),
      Buffer.from('\n'),
    )
    if (pieces.length < 300) continue
    yield Buffer.concat(pieces)
    pieces = []
  }
  if (pieces.length > 0) yield Buffer.concat(pieces)
}
