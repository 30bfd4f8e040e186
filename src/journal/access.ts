import type { Permission } from '../access.ts'

/** Of the journal's categories, what it takes to be shown their events. */
export const journalAccess: Readonly<Record<string, Permission>> = {
  contact: 'contacts:read',
  claim: 'contacts:read',
  duplicate: 'contacts:read',
  erasure: 'erasures:read',
  email: 'emails:read',
  import: 'imports:read',
  undo: 'contacts:read',
  mailbox: 'mailboxes:read',
  sync: 'mailboxes:read',
  enrichment: 'enrichment:read',
  bulkenrichment: 'enrichment:read',
  enrichmentpolicy: 'enrichment:read',
  spending: 'spending:read',
  key: 'keys:read',
  role: 'roles:read',
  audit: 'audit:read',
}
