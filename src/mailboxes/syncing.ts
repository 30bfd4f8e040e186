import type { Config } from '../config.ts'
import type { Limit } from '../platform/pace.ts'
import { keepPaces, type Paces } from './paces.ts'

/** How mailboxes are looked at. */
export type Syncing = {
  /** What may be asked for of each of them. */
  readonly limit: Limit
  readonly paces: Paces
  /** How often each is looked at for something new. */
  readonly everyMs: number
}

/** As the settings say it. */
export const syncingOf = ({ gmailQuotaUnits, gmailQuotaSeconds, mailboxSyncSeconds }: Config): Syncing => {
  const limit = { units: gmailQuotaUnits, windowMs: gmailQuotaSeconds * 1000 }
  return { limit, paces: keepPaces(limit), everyMs: mailboxSyncSeconds * 1000 }
}
