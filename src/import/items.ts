import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { ImportKind, ImportOutcome } from '../../schema/import-events.ts'
import { carryOut, keysOf, outcomeOf } from '../contacts/batch.ts'
import { isKeptOut } from '../emails/ingest.ts'
import { defaultLimits, type RefusalReason, tooLarge } from '../emails/parse/limits.ts'
import type { BlobKey } from '../platform/blobs.ts'
import { AppendTooLarge } from '../platform/event-store.ts'
import { digest } from '../platform/http/commands.ts'
import { problemOf } from '../platform/http/problem.ts'
import { inOrder } from '../platform/in-order.ts'
import { Invalid, Refused } from '../platform/refusal.ts'
import type { Request } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { SubjectKey } from '../platform/vault.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Services } from '../services.ts'
import { readContacts } from './contacts.ts'
import { parseMap } from './csv-columns.ts'
import { readMbox } from './mbox.ts'

/** One message or row of a file, and what is to be done with it. */
export type Item = {
  readonly index: number
  /** Before which byte of the file all up to this one are. */
  readonly end: number
  readonly sizeBytes: number
  /** @throws Unavailable, and whatever nobody had thought of: the import is then tried again from where it was recorded */
  work(): Promise<Omit<ImportOutcome, 'index'>>
}

/** What an import is made of. */
export type Source = {
  readonly importId: string
  readonly kind: ImportKind
  readonly upload: { readonly sha256: string; readonly sizeBytes: number }
  /** Seals the upload, and mails that cannot be read. */
  readonly key: SubjectKey
  readonly ownAddresses: readonly string[]
  readonly map: readonly string[]
  readonly correlationId: string
  readonly causationId: string
  /** Whom it is carried out for. */
  readonly viewer: Viewer
}

/** The messages or rows of an upload from where an earlier run recorded that it was. @throws UnreadableFile; BlobDamaged and the like */
export function itemsOf(services: Services, source: Source, from: { done: number; offset: number }): AsyncIterable<Item> {
  if (source.kind === 'mbox') return mailbox(services, source, from)
  if (source.kind === 'eml') return single(services, source, from)
  return rows(services, source, from)
}

/** Of each message and row the command is the same in every run, so that what was done but not recorded is not done again. */
function requestOf({ importId, correlationId, causationId, viewer }: Source, secret: Buffer, index: number): Request {
  const commandId = uuidv5(`item ${index}`, importId)
  return {
    actor: 'system:worker',
    viewer,
    commandId,
    request: digest(secret, 'import', importId, index),
    correlationId,
    causationId,
  }
}

/** How many mails in a row were new. After so many the next one most likely is new as well. */
type Trend = { stored: number }
const CONFIDENT = 20

const refused = ({ code, message }: RefusalReason) => ({ outcome: 'failed', code, reason: message }) as const

/**
 * Reads a mail into the CRM. Its bytes are in the upload, which stays until all in it have their outcome; one that cannot be read is put
 * away by itself then, so that no message depends on the upload any longer.
 */
async function readMail(
  services: Services,
  source: Source,
  trend: Trend,
  index: number,
  raw: Uint8Array,
  fallbackDate?: string,
): Promise<Omit<ImportOutcome, 'index'>> {
  const { ingest, blobs, vault } = services
  const ingested = await ingest(raw, {
    source: `import:${source.importId}`,
    ownAddresses: new Set(source.ownAddresses),
    cause: requestOf(source, vault.secret('requests'), index),
    isKept: true,
    again: true,
    isLikelyNew: trend.stored >= CONFIDENT,
    fallbackDate,
  })
  trend.stored = ingested.outcome === 'stored' ? trend.stored + 1 : 0
  if (ingested.outcome !== 'failed') return { outcome: ingested.outcome, emailId: ingested.emailId }
  const { code, reason } = ingested
  return { outcome: 'failed', code, reason, ...(!isKeptOut(code) && { raw: await blobs.put(source.key, raw) }) }
}

async function* mailbox(services: Services, source: Source, { done, offset }: { done: number; offset: number }): AsyncGenerator<Item> {
  const { blobs } = services
  const { key, upload } = source
  const trend: Trend = { stored: 0 }
  const stream = await blobs.get(key, upload.sha256, { start: offset, end: upload.sizeBytes })
  for await (const { index, offset: start, end, raw, receivedAt } of readMbox(stream, { from: offset, firstIndex: done })) {
    const keepWhole = async () => {
      const kept = await blobs.put(key, await blobs.get(key, upload.sha256, { start, end }))
      return { ...refused(tooLarge(defaultLimits.sizeBytes, end - start)), raw: kept }
    }
    yield {
      index,
      end,
      sizeBytes: raw?.length ?? 0,
      work: () => (raw ? readMail(services, source, trend, index, raw, receivedAt) : keepWhole()),
    }
  }
}

async function* single(services: Services, source: Source, { done }: { done: number }): AsyncGenerator<Item> {
  if (done > 0) return
  const { key, upload } = source
  const { sizeBytes } = upload
  yield {
    index: 0,
    end: sizeBytes,
    sizeBytes,
    async work() {
      if (sizeBytes > defaultLimits.sizeBytes) return { ...refused(tooLarge(defaultLimits.sizeBytes, sizeBytes)), raw: upload }
      return readMail(services, source, { stored: 0 }, 0, await buffer(await services.blobs.get(key, upload.sha256)))
    },
  }
}

/** A row cannot be read without those before it, so a file is always read from its beginning. */
async function* rows(services: Services, source: Source, { done }: { done: number }): AsyncGenerator<Item> {
  const { runner, claims, blobs, vault } = services
  const inTurn = inOrder()
  const bytes = await blobs.get(source.key as BlobKey, source.upload.sha256)
  let index = 0
  for await (const row of readContacts(Readable.from(bytes), { map: source.map.flatMap(parseMap) })) {
    const at = index
    index += 1
    if (at < done) continue
    const { line } = row
    const work = async (): Promise<Omit<ImportOutcome, 'index'>> => {
      if ('fault' in row) return { outcome: 'failed', code: 'row-unreadable', reason: row.fault, line }
      try {
        const outcome = await inTurn(keysOf(row.input), () =>
          carryOut(runner, claims, row.input, 'upsert', () => requestOf(source, vault.secret('requests'), at)),
        )
        return { outcome: outcomeOf(outcome), contactId: outcome.id, line }
      } catch (error) {
        if (!(error instanceof Refused || error instanceof Invalid || error instanceof AppendTooLarge)) throw error
        const { code, detail, errors = [] } = problemOf(error)
        // Results are kept for ever, and so must not say whose address it was.
        const address = error instanceof Refused ? error.details['address'] : undefined
        const said = typeof address === 'string' ? detail.replaceAll(address, 'an address in it') : detail
        const reason = [said, ...errors.map(({ path, message }) => `${path} ${message}`)].join(' ')
        return { outcome: 'failed', code, reason: reason.slice(0, 1_000), line }
      }
    }
    yield { index: at, end: 0, sizeBytes: row.raw.length, work }
  }
}
