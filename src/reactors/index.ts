import type { Reactor } from '../platform/reactor.ts'
import { accessOnChanged } from './access-on-changed.ts'
import { concealOnSuppressed } from './conceal-on-suppressed.ts'
import { disconnectMailboxOnDisconnected } from './disconnect-mailbox-on-disconnected.ts'
import { enrichContactOnRequested } from './enrich-contact-on-requested.ts'
import { eraseOnRequested } from './erase-on-requested.ts'
import { importOnStarted } from './import-on-started.ts'
import { settleMergeOnBegun } from './settle-merge-on-begun.ts'
import { syncOnMailboxChange } from './sync-on-mailbox-change.ts'
import { undoOnStarted } from './undo-on-started.ts'

/** Every reactor there is. A test keeps this list complete. */
export const reactors: readonly Reactor[] = [
  importOnStarted,
  syncOnMailboxChange,
  disconnectMailboxOnDisconnected,
  accessOnChanged,
  enrichContactOnRequested,
  undoOnStarted,
  settleMergeOnBegun,
  eraseOnRequested,
  concealOnSuppressed,
]
