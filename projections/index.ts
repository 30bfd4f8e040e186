import { audit, auditQueries } from './audit.ts'
import { causeQueries } from './causes.ts'
import { contactQueries } from './contact-queries.ts'
import { contactWords } from './contact-words.ts'
import { contacts } from './contacts.ts'
import { duplicateQueries } from './duplicate-queries.ts'
import { duplicates } from './duplicates.ts'
import { emailQueries } from './email-queries.ts'
import { emails } from './emails.ts'
import { enrichment } from './enrichment.ts'
import { enrichmentQueries } from './enrichment-queries.ts'
import { erasureQueries, erasures } from './erasures.ts'
import { importQueries, imports } from './imports.ts'
import { mailRemovals } from './mail-removals.ts'
import { mailboxLedgerQueries } from './mailbox-ledger.ts'
import { mailboxMessages } from './mailbox-messages.ts'
import { mailboxes, mailboxQueries } from './mailboxes.ts'
import { threadQueries } from './thread-queries.ts'
import { timeline, timelineQueries } from './timeline.ts'
import { undoQueries, undos } from './undos.ts'

/** Every read model, in no order: none reads another's tables while it writes. A test keeps the lists complete. */
export const projections = [
  contacts,
  contactWords,
  timeline,
  emails,
  mailRemovals,
  imports,
  mailboxes,
  mailboxMessages,
  enrichment,
  erasures,
  audit,
  undos,
  duplicates,
]

/** Every question that the read tables answer. */
export const queries = [
  ...contactQueries,
  ...timelineQueries,
  ...emailQueries,
  ...threadQueries,
  ...importQueries,
  ...mailboxQueries,
  ...mailboxLedgerQueries,
  ...enrichmentQueries,
  ...erasureQueries,
  ...auditQueries,
  ...causeQueries,
  ...undoQueries,
  ...duplicateQueries,
]
