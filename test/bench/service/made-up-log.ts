import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { contactEvents } from '../../../schema/contact-events.ts'
import type { NewEvent } from '../../../schema/define.ts'
import { emailEvents } from '../../../schema/email-events.ts'
import { allEvents } from '../../../schema/events.ts'
import { openDataFolder } from '../../../src/data-folder.ts'
import { appendEvents } from '../../../src/eventstore/appends.ts'
import { openLog } from '../../../src/eventstore/log.ts'
import { createCodec, NO_HEAD } from '../../../src/platform/codec.ts'
import { openPool, sql } from '../../../src/platform/database.ts'
import { startPostgres } from '../../../src/platform/embedded-postgres.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { givenMasterKey } from '../../../src/platform/master-key.ts'
import { migrate } from '../../../src/platform/migrate.ts'
import { freePort } from '../../../src/platform/ports.ts'
import { toUuid } from '../../../src/platform/uuid.ts'
import { openVault } from '../../../src/platform/vault.ts'

const log = createLogger('error', 'bench')
const START = Date.UTC(2020, 0, 1)
const digest = (text: string) => createHash('md5').update(text).digest()
const idOf = (text: string) => toUuid(digest(text), 4)
const below = (limit: number, seed: string) => digest(seed).readUInt32LE(0) % limit
/** Some words are frequent and most are not. */
const words = (count: number, seed: string) =>
  Array.from({ length: count }, (_, n) => `w${Math.floor(20_000 * (below(1e6, seed + n) / 1e6) ** 3).toString(36)}ord`).join(' ')
const addressOf = (n: number) => `p${n}@people.example`

export function madeUpContact(n: number): NewEvent {
  const value = addressOf(n)
  const phone = `+4930${10_000_000 + n}`
  return contactEvents.ContactCreated({
    contactId: idOf(`contact ${n}`),
    name: words(2, `name ${n}`),
    company: `Company ${n % 700}`,
    methods: [
      { id: idOf(`email ${n}`), type: 'email', value, normalized: value },
      { id: idOf(`phone ${n}`), type: 'phone', value: phone, normalized: phone, raw: phone },
    ],
  })
}

/** A mail of 1 kB with three parties, two of them contacts, in threads of five. */
function madeUpMail(n: number, contacts: number): NewEvent {
  const root = n - (n % 5)
  const [a, b] = [`a${root}`, `b${n}`].map((seed) => ({ address: addressOf(below(contacts, seed)) }))
  const me = { address: 'me@own.example', name: 'Me Myself' }
  const references = Array.from({ length: n - root }, (_, k) => `<${root + k}@mail.example>`)
  const isSent = n % 3 === 0
  const text = words(110, `text ${n}`)
  const sha256 = createHash('sha256').update(`${n}`).digest('hex')
  const mail = {
    emailId: idOf(`mail ${n}`),
    source: 'import:bench',
    defects: [],
    messageId: `<${n}@mail.example>`,
    from: [isSent ? me : a!],
    replyTo: [],
    to: [isSent ? a! : me],
    cc: [b!],
    bcc: [],
    subject: `${n === root ? '' : 'Re: '}${words(5, `subject ${root}`)}`,
    text,
    textOwn: text.slice(0, 300),
    html: null,
    raw: { sha256, sizeBytes: 1_000 },
    date: new Date(START + n * 100_000).toISOString(),
    dateHeader: null,
    dateReceived: null,
    inReplyTo: references.slice(-1),
    references,
    attachments: [],
    headers: {},
  }
  return isSent ? emailEvents.EmailSent(mail) : emailEvents.EmailReceived(mail)
}

/** One contact to four mails, as they would come: a contact before the mails around it. */
const eventOf = (n: number, total: number) =>
  n % 5 === 0 ? madeUpContact(n / 5) : madeUpMail(n - Math.floor(n / 5) - 1, Math.ceil(total / 5))

export const streamOf = ({ data }: NewEvent): string => {
  const { contactId, emailId } = data as { contactId?: string; emailId?: string }
  return contactId === undefined ? `email-${emailId}` : `contact-${contactId}`
}

export const causeOf = (n: number) => {
  const id = idOf(`command ${n}`)
  return {
    at: new Date(START + n * 80_000).toISOString(),
    actor: 'key:bench',
    commandId: id,
    request: '',
    $correlationId: id,
    $causationId: id,
  }
}

/** The bench's Postgres in a data folder, as the embedded one of the service. */
export async function postgresIn(folder: string) {
  // Postgres, as a user of its own, has to get there.
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
  await openDataFolder(folder)
  return startPostgres({ dir: join(folder, 'postgres'), port: await freePort(), log })
}

const AT_ONCE = 500
/** It hides nothing: the people are made up. */
export const masterKey = Buffer.alloc(32, 7)

/**
 * A data folder with a log of so many events: every fifth is a contact, the others are mails, each in a stream of its own and sealed with a key of its
 * own. It is made once, past the network: through the codec into the node's log. The database gets the vault, and no read tables.
 */
export async function madeUpLog(folder: string, databaseUrl: string, total: number): Promise<void> {
  const made = join(folder, `made-up-${total}.json`)
  if (existsSync(made)) return
  const begun = performance.now()
  await migrate(databaseUrl, log)
  const pool = openPool(databaseUrl, log)
  try {
    const vault = await openVault(pool, givenMasterKey(masterKey))
    const codec = createCodec(allEvents, vault)
    await mkdir(join(folder, 'eventstore'), { recursive: true })
    const target = openLog({ file: join(folder, 'eventstore/events.db') })
    let written: Promise<void> = Promise.resolve()
    for (let from = 0; from < total; from += AT_ONCE) {
      const numbers = Array.from({ length: Math.min(AT_ONCE, total - from) }, (_, index) => from + index)
      const batch = await Promise.all(
        numbers.map(async (n) => {
          const event = eventOf(n, total)
          const [encoded] = await codec.encode([event], streamOf(event), NO_HEAD, causeOf(n))
          const { id, type, data, metadata } = encoded!
          return { stream: streamOf(event), event: { id, type, json: true, data: bytes(data), metadata: bytes(metadata) } }
        }),
      )
      await written
      written = new Promise<void>((resolve, reject) =>
        target.enqueue({
          sizeBytes: 1,
          run(writer) {
            for (const { stream, event } of batch) {
              const { kind } = appendEvents(writer, stream, 'no-stream', [event])
              if (kind !== 'written') throw new Error(`${stream}: ${kind}`)
            }
          },
          done: (error) => (error ? reject(error) : resolve()),
        }),
      )
      written.catch(() => {})
    }
    await written
    await target.close()
    await pool.rows(sql.unsafe`analyze`)
  } finally {
    await pool.close()
  }
  await writeFile(made, JSON.stringify({ total, seconds: Math.round((performance.now() - begun) / 1_000) }))
}

const bytes = (value: object) => Buffer.from(JSON.stringify(value))
