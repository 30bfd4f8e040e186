import type { BlobReference } from '../../schema/email.ts'
import type { Blobs } from '../platform/blobs.ts'
import { OtherKey, Unfit } from '../platform/codec.ts'
import type { Concealed } from '../platform/concealed.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { AppendTooLarge } from '../platform/event-store.ts'
import type { Position } from '../platform/position.ts'
import { Refused, Unavailable } from '../platform/refusal.ts'
import { fold, headOf, type Request, type Runner } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { SubjectKey, Vault } from '../platform/vault.ts'
import { email, isKnown, recordEmail, timesExcluded } from './email.ts'
import { addressesIn, maskParties } from './mask.ts'
import type { EmailContent } from './parse/parse-email.ts'
import type { ParseResult, Parser } from './parse/parser.ts'

type Parsed = Extract<ParseResult, { ok: true }>

/** What became of a mail. A failed one has a reason for programs and one for people. */
export type Ingested =
  | {
      readonly outcome: 'stored' | 'known'
      readonly emailId: string
      readonly position: Position | null
      /** What it says, and whether one of our own sent it. */
      readonly content: EmailContent
      readonly sent: boolean
    }
  | {
      readonly outcome: 'failed'
      readonly code: string
      readonly reason: string
      /** Where its bytes are, to be referred to by the caller; null where it kept them itself (`isKept`). */
      readonly raw: (BlobReference & { readonly keyId: string }) | null
    }

/** It was kept out, and nothing of it is left. @typeParam E why, as whoever decided it says it */
export type Excluded<E> = { readonly outcome: 'excluded'; readonly exclusion: E }

export type About = {
  /** `import:<id>`, `mailbox:<id>`. */
  readonly source: string
  /** One's own addresses in their normal form: a mail from one of them is a sent one. */
  readonly ownAddresses: ReadonlySet<string>
  /** The same for the same mail of the same source, so that a repeat changes nothing and is answered as the first time. */
  readonly cause: Pick<Request, 'actor' | 'commandId' | 'request' | 'correlationId' | 'causationId'>
  /** The bytes are in the blob store already, and will stay there until every mail in them has its outcome: the upload that they come from. */
  readonly isKept: boolean
  /**
   * It is most likely not known yet, so that looking whether it is would be in vain. Should it be known, that is found out when it is stored, and what
   * was put for it is removed again: right in any case, and faster where the guess is.
   */
  readonly isLikelyNew?: boolean
  /** Store it again where somebody removed it. */
  readonly again: boolean
  readonly fallbackDate?: string | undefined
  readonly providerThreadId?: string | undefined
}

/**
 * Takes in one mail: its bytes are kept before anything parses them, its blobs are there before an event refers to them.
 *
 * A mail is a subject of its own, with a key that seals its event and its blobs alike. So the key is claimed first, for a stream whose id is not yet
 * known. Bytes that nobody has kept are sealed with it before they are parsed, and belong to the mail's stream once its id is known: they are
 * never moved. Should the mail be known already, the key is nobody's, and what it sealed is removed.
 * @throws Unavailable when something that is needed is away; nothing is lost, and the same again goes on
 */
export type Ingest = {
  (raw: Uint8Array, about: About): Promise<Ingested>
  /** @param excludes asked when it was read, before it is stored: what keeps it out, or null */
  <E>(raw: Uint8Array, about: About, excludes: (content: EmailContent) => E | null): Promise<Ingested | Excluded<E>>
}

type Needs = {
  readonly runner: Pick<Runner, 'load' | 'execute'>
  readonly vault: Pick<Vault, 'claim' | 'keys'>
  readonly blobs: Pick<Blobs, 'put' | 'list' | 'remove'>
  readonly parser: Pick<Parser, 'parse'>
  readonly concealed: Pick<Concealed, 'isEmpty' | 'has'>
}

const TRIES = 3

export function createIngest({ runner, vault, blobs, parser, concealed }: Needs): Ingest {
  /** What was sealed for a mail that turned out to be known. Should this fail, the sweep finds it. */
  const discard = async (key: SubjectKey) => {
    try {
      for await (const blob of blobs.list(key.id)) await blobs.remove(blob)
    } catch {}
  }

  /** The key of the mail's stream, which it has when it was removed; else the one that was claimed for it. */
  const keyOf = async (events: readonly RecordedEvent[], claimed: SubjectKey | null): Promise<SubjectKey> => {
    const id = headOf(events).key
    if (id === null) return claimed ?? vault.claim()
    return { id, key: (await vault.keys([id])).get(id)! }
  }

  const putAll = async (key: SubjectKey, raw: Uint8Array | null, { html, attachmentContents }: Parsed, isFirst: boolean) => {
    const contents = [...(raw ? [raw] : []), ...(html ? [html] : []), ...attachmentContents]
    await Promise.all(contents.map((content) => blobs.put(key, content, isFirst)))
  }

  /** @returns the outcome, and the key that the mail's stream has by then */
  const store = async (raw: Uint8Array, parsed: Parsed, about: About, claimed: SubjectKey | null, isGuess: boolean): Promise<Settled> => {
    const { emailId } = parsed
    const { cause, again, source, providerThreadId } = about
    const events = isGuess ? [] : await runner.load(`email-${emailId}`)
    const sent = isFrom(parsed, about.ownAddresses)
    const settled = (outcome: 'stored' | 'known', position: Position | null, { key } = headOf(events)): Settled => ({
      ingested: { outcome, emailId, position, content: parsed.email, sent },
      keyId: key,
    })
    const times = timesExcluded(events)
    const commandId = times === 0 ? cause.commandId : uuidv5(`again ${times}`, cause.commandId)
    const mine = events.find(({ meta }) => meta.commandId === commandId)
    if (mine) return settled('stored', mine.position)
    if (events.some(({ erased }) => erased)) return wasErased
    if (isKnown(fold(email, events), again)) return settled('known', events.at(-1)!.position)

    const key = await keyOf(events, claimed)
    await putAll(key, claimed?.id === key.id ? null : raw, parsed, events.length === 0)
    const recorded = { ...parsed.email, source, ...(providerThreadId !== undefined && { providerThreadId }) }
    const request = { ...cause, commandId, key, assumeNew: events.length === 0 }
    // Somebody else may store the same mail at this time, with a key of his own.
    const discardOwn = () => (claimed?.id === key.id || events.length > 0 ? Promise.resolve() : discard(key))
    try {
      const outcome = await runner.execute(recordEmail, { sent, again, email: recorded }, { id: emailId }, request)
      const { made, repeated, position, events: stream } = outcome
      // It may have been taken away since, and only who has seen all of the stream knows.
      if (repeated && isGuess) throw new OtherKey(`email-${emailId}`)
      const head = headOf(stream)
      if (head.key !== key.id) await discardOwn()
      return settled(made > 0 ? 'stored' : 'known', position, head)
    } catch (error) {
      if (error instanceof AppendTooLarge || error instanceof Unfit) {
        await discardOwn()
        return {
          ingested: failed('not-storable', 'What the mail says does not fit into an event. Please report this.'),
          keyId: claimed?.id ?? null,
        }
      }
      if (error instanceof OtherKey) await discardOwn()
      if (!(error instanceof Refused && error.code === ERASED)) throw error
      await discardOwn()
      return wasErased
    }
  }

  const ingest = async <E>(
    raw: Uint8Array,
    about: About,
    excludes?: (content: EmailContent) => E | null,
  ): Promise<Ingested | Excluded<E>> => {
    const claimed = about.isKept ? null : await vault.claim()
    const kept = claimed && { ...(await blobs.put(claimed, raw)), keyId: claimed.id }
    const read = await parser.parse(raw, about.fallbackDate === undefined ? {} : { fallbackDate: about.fallbackDate })
    if (!read.ok) return { ...failed(read.reason.code, read.reason.message), raw: kept }
    const parsed = { ...read, email: concealed.isEmpty() ? read.email : maskParties(read.email, (address) => concealed.has(address)) }
    if (parsed.email !== read.email && addressesIn(parsed.email).every((address) => about.ownAddresses.has(address))) {
      if (claimed) await discard(claimed)
      return failed(SUPPRESSED, 'The only other one in this mail was erased, and the address is suppressed.')
    }
    const exclusion = excludes?.(parsed.email) ?? null
    if (exclusion !== null) {
      if (claimed) await discard(claimed)
      return { outcome: 'excluded', exclusion }
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { ingested, keyId } = await store(raw, parsed, about, claimed, about.isLikelyNew === true && attempt === 1)
        if (claimed && keyId !== claimed.id) await discard(claimed)
        return ingested.outcome === 'failed' && !isKeptOut(ingested.code) ? { ...ingested, raw: kept } : ingested
      } catch (error) {
        if (!(error instanceof OtherKey)) throw error
        if (attempt === TRIES) throw new Unavailable('Others keep changing this mail.', { cause: error, retryAfterSeconds: 1 })
      }
    }
  }
  return ingest as Ingest
}

type Settled = { readonly ingested: Ingested; readonly keyId: string | null }

const ERASED = 'erased'
const SUPPRESSED = 'suppressed'
/** Failures whose bytes are not to be kept, and that are for good: it was erased, or the only other one in it was. */
export const isKeptOut = (code: string | undefined): boolean => code === ERASED || code === SUPPRESSED

const failed = (code: string, reason: string) => ({ outcome: 'failed', code, reason, raw: null }) as const

const wasErased: Settled = { ingested: failed(ERASED, 'This mail was erased, and is not stored again.'), keyId: null }

const isFrom = ({ email: { from, sender } }: Parsed, own: ReadonlySet<string>): boolean =>
  [...from, ...(sender ? [sender] : [])].some(({ address }) => address !== undefined && own.has(address))
