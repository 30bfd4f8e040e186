import { auditEvents } from './audit-events.ts'
import { claimEvents } from './claim-events.ts'
import { contactEvents } from './contact-events.ts'
import { duplicateEvents } from './duplicate-events.ts'
import { emailEvents } from './email-events.ts'
import { bulkEnrichmentEvents, enrichmentEvents, enrichmentPolicyEvents, spendingEvents } from './enrichment-events.ts'
import { erasureEvents } from './erasure-events.ts'
import { heartbeatEvents } from './heartbeat-events.ts'
import { importEvents } from './import-events.ts'
import { keyEvents } from './key-events.ts'
import { mailboxEvents } from './mailbox-events.ts'
import { roleEvents } from './role-events.ts'
import { syncEvents } from './sync-events.ts'
import { undoEvents } from './undo-events.ts'

/** Every event there is, by category. A test keeps this list complete. */
export const eventsByCategory = {
  contact: contactEvents,
  email: emailEvents,
  import: importEvents,
  undo: undoEvents,
  mailbox: mailboxEvents,
  sync: syncEvents,
  key: keyEvents,
  role: roleEvents,
  enrichment: enrichmentEvents,
  bulkenrichment: bulkEnrichmentEvents,
  enrichmentpolicy: enrichmentPolicyEvents,
  spending: spendingEvents,
  audit: auditEvents,
  erasure: erasureEvents,
  claim: claimEvents,
  duplicate: duplicateEvents,
  heartbeat: heartbeatEvents,
}

/** Every event there is, by its type. */
export const allEvents = {
  ...contactEvents,
  ...duplicateEvents,
  ...emailEvents,
  ...importEvents,
  ...undoEvents,
  ...mailboxEvents,
  ...syncEvents,
  ...keyEvents,
  ...roleEvents,
  ...enrichmentEvents,
  ...bulkEnrichmentEvents,
  ...enrichmentPolicyEvents,
  ...spendingEvents,
  ...auditEvents,
  ...erasureEvents,
  ...claimEvents,
  ...heartbeatEvents,
}
