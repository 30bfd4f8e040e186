import { type Restriction, sharedMailboxes } from '../../projections/mail-visibility.ts'
import { emailEvents } from '../../schema/email-events.ts'
import type { Visibility } from '../../schema/mailbox-events.ts'
import type { Pool } from '../platform/database.ts'
import type { RecordedEvent } from '../platform/event.ts'
import type { Logger } from '../platform/log.ts'

/** What somebody sees of the mails of mailboxes. @property key the same for those who see the same */
export type Sight = { readonly key: string; restrictionOf(mailboxId: string): Restriction | null }

export type Sights = {
  of(actor: string): Sight
  /** Asks what these mailboxes share, where that was not asked just now or one of them is not known. Should that fail, less is shown, and never more. @param isFresh asks in any case */
  look(mailboxIds: readonly string[], isFresh?: boolean): Promise<void>
  /** Keeps looking, once it was begun with, until all who want that have stopped. @returns stops */
  keepLooking(): () => void
}

const LOOK_MS = 1_000
/** What was learned longer ago is not relied on: then nobody sees more than metadata. */
const TRUSTED_MS = 30_000

type Shared = { readonly owner: string; readonly visibility: Visibility }

/**
 * What mailboxes share, as the tables say, held for a second: a journal shows each event to many at once. A mail in it is taken for what came from where
 * it says that it came from first; that another place shares it more is not looked up, so that it may be shown less here than in a list, and never more.
 */
export function createSights(pool: Pool, log: Logger): Sights {
  let mailboxes = new Map<string, Shared>()
  let sights = new Map<string, Sight>()
  let lookedAt = Number.NEGATIVE_INFINITY
  let looks = 0
  let looking: Promise<void> | null = null
  let wanting = 0
  let timer: NodeJS.Timeout | undefined

  const isOlder = (ms: number) => performance.now() - lookedAt > ms

  const lookNow = async () => {
    const at = performance.now()
    const rows = await sharedMailboxes(pool)
    const isSame =
      rows.length === mailboxes.size &&
      rows.every(({ mailboxId, owner, visibility }) => {
        const before = mailboxes.get(mailboxId)
        return before?.owner === owner && before.visibility === visibility
      })
    lookedAt = at
    if (isSame) return
    looks += 1
    mailboxes = new Map(rows.map(({ mailboxId, owner, visibility }) => [mailboxId, { owner, visibility }]))
    sights = new Map()
  }

  const restrictionOf = (actor: string, mailboxId: string): Restriction | null => {
    const shared = isOlder(TRUSTED_MS) ? undefined : mailboxes.get(mailboxId)
    if (!shared) return 'metadata'
    return shared.owner === actor || shared.visibility === 'everything' ? null : shared.visibility
  }

  const refresh = () => {
    looking ??= lookNow()
      .catch((err) => log.warn({ err }, 'what mailboxes share is not known now; asking again'))
      .finally(() => {
        looking = null
      })
    return looking
  }

  return {
    of(actor) {
      if (isOlder(TRUSTED_MS)) return { key: 'unknown', restrictionOf: () => 'metadata' }
      const known = sights.get(actor)
      if (known) return known
      const isOpen = [...mailboxes.keys()].every((id) => restrictionOf(actor, id) === null)
      const sight: Sight = { key: isOpen ? '' : `${actor} ${looks}`, restrictionOf: (mailboxId) => restrictionOf(actor, mailboxId) }
      sights.set(actor, sight)
      return sight
    },
    async look(mailboxIds, isFresh = false) {
      const isKnown = !isFresh && !isOlder(LOOK_MS) && mailboxIds.every((id) => mailboxes.has(id))
      if (mailboxIds.length > 0 && !isKnown) await refresh()
    },
    keepLooking() {
      wanting += 1
      // Nobody asks about mailboxes as long as there are no mails of any.
      timer ??= setInterval(() => void (lookedAt > Number.NEGATIVE_INFINITY && refresh()), LOOK_MS)
      return () => {
        wanting -= 1
        if (wanting > 0) return
        clearInterval(timer)
        timer = undefined
      }
    },
  }
}

const mails: ReadonlySet<string> = new Set([
  emailEvents.EmailReceived.type,
  emailEvents.EmailSent.type,
  emailEvents.EmailPartiesMasked.type,
])

/** The mailbox that an event brings a mail from; null for any other event. */
export function mailboxOf({ type, data }: RecordedEvent): string | null {
  if (!mails.has(type)) return null
  return /^mailbox:(.+)$/.exec((data as { source?: string }).source ?? '')?.[1] ?? null
}

/** The mailboxes that events bring mails from. */
export const mailboxesOf = (events: readonly RecordedEvent[]): string[] => [...new Set(events.flatMap((event) => mailboxOf(event) ?? []))]

/** A mail's event without what is not shared. */
export function restricted(event: RecordedEvent, restriction: Restriction): RecordedEvent {
  const { text: _text, textOwn: _own, html: _html, raw: _raw, attachments: _files, ...rest } = event.data as Record<string, unknown>
  const { subject: _subject, ...metadata } = rest
  return { ...event, data: restriction === 'metadata' ? metadata : rest }
}

/** An event as somebody sees it. */
export function seen(event: RecordedEvent, sight: Sight): RecordedEvent {
  const mailboxId = mailboxOf(event)
  const restriction = mailboxId === null ? null : sight.restrictionOf(mailboxId)
  return restriction ? restricted(event, restriction) : event
}
