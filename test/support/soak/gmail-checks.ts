import type { Ledger } from '../../../schema/sync.ts'
import { type SyncEvent, syncEvents } from '../../../schema/sync-events.ts'
import type { RecordedEvent } from '../../../src/platform/event.ts'
import type { Faults } from './faults.ts'
import type { Api } from './gmail.ts'
import type { Random } from './random.ts'

export type Entry = {
  messageId: string
  outcome: keyof Ledger
  emailId: string | null
  rule: string | null
  deleted: boolean
  reason: string | null
}

type Looked = {
  events: readonly RecordedEvent[]
  entries: readonly Entry[]
  ledger: Ledger
  /** What there is at Google now. */
  there: readonly { id: string; labelIds: readonly string[] }[]
  /** What made-up messages say, by their Message-ID. */
  made: ReadonlyMap<string, () => Buffer>
  api: Pick<Api, 'ask' | 'raw'>
  random: Random
  faults: Faults
}

const NEVER = ['SPAM', 'TRASH', 'DRAFT', 'CHAT']
const READ_AGAIN = 100

/** Holds a mailbox's ledger to what Google has, to the log, and to itself. @returns how many mails were stored */
export async function checkMailbox({ events, entries, ledger, there, made, api, random, faults }: Looked): Promise<number> {
  const { listed, stored, known, excluded, failed, pending } = ledger
  if (listed !== stored + known + excluded + failed + pending) faults.add('a ledger that does not add up', JSON.stringify(ledger))
  if (listed !== entries.length) faults.add('a ledger that does not add up', `${listed} listed, ${entries.length} to be seen`)
  if (pending !== 0 || failed !== 0) faults.add('a message without its mail', JSON.stringify(ledger))
  const byId = new Map(entries.map((entry) => [entry.messageId, entry]))
  if (byId.size !== entries.length) faults.add('a message that is there twice', `${entries.length - byId.size} of them`)
  for (const { id, labelIds } of there) {
    const entry = byId.get(id)
    if (NEVER.some((label) => labelIds.includes(label))) continue
    if (!entry) faults.add('a message that is missing', id)
    else if (entry.outcome !== 'stored' && entry.outcome !== 'known') faults.add('a message that was not stored', JSON.stringify(entry))
    else if (entry.deleted) faults.add('a message that is said to be gone', id)
  }
  checkRuns(events, entries, faults)

  const mails = events.filter(({ type }) => type === 'EmailReceived' || type === 'EmailSent')
  const streams = Map.groupBy(mails, ({ stream }) => stream)
  for (const [stream, times] of streams)
    if (times.length > 1) faults.add('a mail that was stored twice', `${stream}: ${times.length} times`)
  const emailIds = new Set(entries.flatMap(({ outcome, emailId }) => (outcome === 'stored' || outcome === 'known' ? [emailId!] : [])))
  for (const id of emailIds) if (!streams.has(`email-${id}`)) faults.add('a mail that is not in the log', id)
  if (emailIds.size !== stored) faults.add('mails that are counted otherwise', `${emailIds.size} mails, ${stored} stored`)
  const ids = [...emailIds]
  for (let read = 0; read < Math.min(READ_AGAIN, ids.length); read += 1) {
    const id = random.pick(ids)
    const { messageId } = await api.ask('GET', `/v1/emails/${id}`)
    const raw = made.get(messageId)
    if (raw && !raw().equals(await api.raw(id))) faults.add('a mail that is not what Google has', id)
  }
  return stored
}

/** Each run listed a message once and gave it one outcome; and together they say what the ledger says. */
function checkRuns(events: readonly RecordedEvent[], entries: readonly Entry[], faults: Faults): void {
  const { SyncStarted, SyncListed, SyncSettled, SyncFinished } = syncEvents
  const all = new Set<string>()
  let number = 0
  for (const [stream, run] of Map.groupBy(
    events.filter(({ stream }) => stream.startsWith('sync-')),
    ({ stream }) => stream,
  )) {
    const listed = new Set<string>()
    const open = new Set<string>()
    for (const { type, data } of run as unknown as SyncEvent[]) {
      if (type === SyncStarted.type) {
        number += 1
        if (data.number !== number) faults.add('runs out of order', `${stream} is number ${data.number}, not ${number}`)
      } else if (type === SyncListed.type)
        for (const { id } of data.messages) {
          if (listed.has(id)) faults.add('a message that a run listed twice', `${stream} ${id}`)
          listed.add(id)
          open.add(id)
          all.add(id)
        }
      else if (type === SyncSettled.type)
        for (const { id } of data.outcomes) if (!open.delete(id)) faults.add('an outcome too many', `${stream} ${id}`)
    }
    if (run.at(-1)!.type !== SyncFinished.type) faults.add('a run that does not end', stream)
    else if (open.size > 0) faults.add('a run that ended too early', `${stream}: ${open.size} without an outcome`)
  }
  if (all.size !== entries.length)
    faults.add('a ledger that is not the log', `${all.size} listed in the log, ${entries.length} in the ledger`)
}
