import type { Viewer } from './platform/viewer.ts'

/** What there is to be allowed, and what each of it means. */
export const permissions = {
  'contacts:read': 'see contacts, their timeline and their history',
  'contacts:write': 'make, change and assign contacts',
  'contacts:export': 'take all that is known of a contact away as a file; of its mails and the rest what the other permissions let one see',
  'emails:read': 'read mails',
  'emails:write': 'take mails away',
  'mailboxes:read': 'see mailboxes, and what became of each of their messages',
  'mailboxes:write': 'connect mailboxes, fetch from them, and say what stays out and who sees what',
  'imports:read': 'see imports and what came of them',
  'imports:write': 'import files',
  'enrichment:read': 'see what was found of contacts, with its sources',
  'enrichment:write': 'have contacts enriched, and accept, reject, set and lock what was found',
  'spending:read': 'see what enrichment has cost by now, what is left of its budget, and how the vendors do',
  'enrichment:manage': 'say which sources count more, and whether new contacts are enriched',
  'jobs:read': 'see long work',
  'jobs:write': 'retry and cancel it',
  'events:read': 'read the journal: of the events, those that the other permissions let one see',
  'audit:read': 'see who did what, and who was shown what',
  'audit:verify': 'compare the read tables with the log, and the log with what was witnessed of it',
  'snapshots:read': 'see which past moments can be asked about',
  'snapshots:write': 'have the tables of a past moment made, and drop them',
  'keys:read': 'see API keys, without the keys themselves',
  'keys:write': 'issue, rotate and revoke API keys that may do no more than the one that does it',
  'roles:read': 'see roles',
  'roles:write': 'define and remove roles',
  'projections:read': 'see how far the read models are',
  'projections:write': 'rebuild, pause and roll them back',
  'metrics:read': 'read /metrics',
} as const
export type Permission = keyof typeof permissions
export const allPermissions = Object.keys(permissions) as Permission[]

/** What is about everybody's rows alike: nobody has it whose key does not see them all. */
const aboutAll = new Set<Permission>([
  'mailboxes:read',
  'spending:read',
  'enrichment:manage',
  'mailboxes:write',
  'events:read',
  'audit:read',
  'audit:verify',
  'snapshots:read',
  'snapshots:write',
  'keys:read',
  'keys:write',
  'roles:read',
  'roles:write',
  'projections:read',
  'projections:write',
  'metrics:read',
])

const member: readonly Permission[] = [
  'contacts:read',
  'contacts:write',
  'contacts:export',
  'emails:read',
  'emails:write',
  'mailboxes:read',
  'mailboxes:write',
  'imports:read',
  'imports:write',
  'enrichment:read',
  'enrichment:write',
  'spending:read',
  'jobs:read',
  'jobs:write',
  'snapshots:read',
]

/** The roles that come with SmartCRM. */
export const builtInRoles: Readonly<Record<string, readonly Permission[]>> = {
  administrator: allPermissions,
  member,
  reader: [
    'contacts:read',
    'emails:read',
    'mailboxes:read',
    'imports:read',
    'enrichment:read',
    'spending:read',
    'jobs:read',
    'snapshots:read',
  ],
  service: [...member, 'events:read', 'metrics:read'],
  auditor: [
    'contacts:read',
    'mailboxes:read',
    'imports:read',
    'enrichment:read',
    'spending:read',
    'jobs:read',
    'events:read',
    'audit:read',
    'audit:verify',
    'snapshots:read',
    'snapshots:write',
    'keys:read',
    'roles:read',
    'projections:read',
  ],
}

/**
 * What a role may do. One that nobody defined may do nothing.
 * @param custom the permissions of a role that was defined here
 */
export function permissionsOf(role: string, custom: readonly string[] | null, { sees }: Pick<Viewer, 'sees'>): Permission[] {
  const all = Object.hasOwn(builtInRoles, role) ? builtInRoles[role]! : allPermissions.filter((permission) => custom?.includes(permission))
  return all.filter((permission) => sees === 'all' || !aboutAll.has(permission))
}

/** What each operation needs, by its operationId; a route without one by its address. The server does not start with a route that is not in here. */
export const access: Readonly<Record<string, Permission>> = {
  listContacts: 'contacts:read',
  getContact: 'contacts:read',
  getContactTimeline: 'contacts:read',
  getContactHistory: 'contacts:read',
  exportContact: 'contacts:export',
  createContact: 'contacts:write',
  upsertContactByEmail: 'contacts:write',
  batchContacts: 'contacts:write',
  updateContact: 'contacts:write',
  deleteContact: 'contacts:write',
  archiveContact: 'contacts:write',
  restoreContact: 'contacts:write',
  assignContact: 'contacts:write',
  addContactMethod: 'contacts:write',
  removeContactMethod: 'contacts:write',
  addNote: 'contacts:write',

  listEmails: 'emails:read',
  getEmail: 'emails:read',
  getEmailRaw: 'emails:read',
  getEmailHtml: 'emails:read',
  getEmailAttachment: 'emails:read',
  listContactEmails: 'emails:read',
  listThreads: 'emails:read',
  getThread: 'emails:read',
  removeEmail: 'emails:write',

  listMailboxes: 'mailboxes:read',
  getMailbox: 'mailboxes:read',
  connectGoogleMailbox: 'mailboxes:write',
  changeMailboxRules: 'mailboxes:write',
  changeMailboxCreationPolicy: 'mailboxes:write',
  changeMailboxVisibility: 'mailboxes:write',
  disconnectMailbox: 'mailboxes:write',
  listMailboxLedger: 'mailboxes:read',
  listMailboxRuns: 'mailboxes:read',
  getMailboxMessageRaw: 'emails:read',
  syncMailbox: 'mailboxes:write',
  reconcileMailbox: 'mailboxes:write',
  rewindMailbox: 'mailboxes:write',
  retryMailbox: 'mailboxes:write',

  listImports: 'imports:read',
  getImport: 'imports:read',
  listImportResults: 'imports:read',
  getImportResultRaw: 'emails:read',
  createImport: 'imports:write',

  getContactEnrichment: 'enrichment:read',
  listEnrichments: 'enrichment:read',
  getEnrichmentStatus: 'spending:read',
  enrichContact: 'enrichment:write',
  enrichInBulk: 'enrichment:write',
  acceptContactValue: 'enrichment:write',
  rejectContactValue: 'enrichment:write',
  setContactField: 'enrichment:write',
  releaseContactField: 'enrichment:write',
  lockContactField: 'enrichment:write',
  unlockContactField: 'enrichment:write',
  undoContactEnrichment: 'enrichment:write',
  setContactEnrichable: 'enrichment:write',
  orderEnrichmentSources: 'enrichment:manage',
  enrichOnCreation: 'enrichment:manage',

  listJobs: 'jobs:read',
  getJob: 'jobs:read',
  retryJob: 'jobs:write',
  cancelJob: 'jobs:write',

  listEvents: 'events:read',
  listAudit: 'audit:read',
  auditLog: 'audit:verify',
  verifyTables: 'audit:verify',

  listSnapshots: 'snapshots:read',
  getSnapshot: 'snapshots:read',
  makeSnapshot: 'snapshots:write',
  dropSnapshot: 'snapshots:write',

  listApiKeys: 'keys:read',
  getApiKey: 'keys:read',
  issueApiKey: 'keys:write',
  rotateApiKey: 'keys:write',
  revokeApiKey: 'keys:write',
  listRoles: 'roles:read',
  getRole: 'roles:read',
  defineRole: 'roles:write',
  removeRole: 'roles:write',

  listProjections: 'projections:read',
  listParkedEvents: 'projections:read',
  rebuildProjections: 'projections:write',
  replayParkedEvents: 'projections:write',
  pauseProjection: 'projections:write',
  resumeProjection: 'projections:write',
  rollbackProjection: 'projections:write',

  '/metrics': 'metrics:read',
}

/** Of the journal's categories, what it takes to be shown their events. */
export const journalAccess: Readonly<Record<string, Permission>> = {
  contact: 'contacts:read',
  claim: 'contacts:read',
  email: 'emails:read',
  import: 'imports:read',
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

/**
 * Operations that show what mails say, or give much away at once: who is shown it is recorded before it is sent (src/audit/). By operationId the category of
 * what `{id}` names. The journal, which has no id, records by itself.
 */
export const recordedReads: Readonly<Record<string, string>> = {
  getEmail: 'email',
  getEmailRaw: 'email',
  getEmailHtml: 'email',
  getEmailAttachment: 'email',
  getImportResultRaw: 'import',
  exportContact: 'contact',
}
