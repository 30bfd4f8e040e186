import { createPace, type Limit, type Pace } from '../platform/pace.ts'
import type { Runs } from './sync-runs.ts'

/** The paces of those mailboxes at which this process had the last turn. */
export type Paces = {
  /** The mailbox's pace for a turn that begins. @param runs how its runs stand */
  take(mailboxId: string, runs: Pick<Runs, 'standing' | 'recordedAt'>): Pace
  /** This is how a turn has left the mailbox's runs. Of one that failed, and recorded something, nobody says so. */
  keep(mailboxId: string, pace: Pace, standing: string): void
}

/**
 * A pace goes on from one turn to the next while the log says that nobody else has had a turn: so what is new is fetched at once, also when something was
 * fetched just before. Else the mailbox was worked on by another process, who may have been killed, and the new pace owes what that one may have used; unless nothing
 * was recorded for so long that nobody can have asked the provider for anything.
 */
export function keepPaces(limit: Limit): Paces {
  const kept = new Map<string, { readonly pace: Pace; readonly standing: string }>()
  return {
    take(mailboxId, { standing, recordedAt }) {
      const last = kept.get(mailboxId)
      if (last?.standing === standing) return last.pace
      const pace = createPace(limit)
      // What was done is recorded every few seconds, so twice a window is far more than enough.
      if (recordedAt === undefined || Date.now() - Date.parse(recordedAt) > 2 * limit.windowMs) pace.rested()
      kept.set(mailboxId, { pace, standing })
      return pace
    },
    keep(mailboxId, pace, standing) {
      kept.set(mailboxId, { pace, standing })
    },
  }
}
