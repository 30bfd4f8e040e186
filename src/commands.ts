import { archiveContact, deleteContact, restoreContact } from './contacts/archive.ts'
import { assignContact } from './contacts/assign.ts'
import { addContactMethod, createContact, removeContactMethod, updateContact, upsertContact } from './contacts/contact.ts'
import { dismissDuplicate, reconsiderDuplicate } from './contacts/duplicates.ts'
import {
  acceptContactValue,
  lockContactField,
  rejectContactValue,
  releaseContactField,
  setContactEnrichable,
  setContactField,
  undoContactEnrichment,
  unlockContactField,
} from './contacts/enriched.ts'
import { addNote } from './contacts/note.ts'
import { removeEmail } from './emails/email.ts'
import { enrichOnCreation, orderEnrichmentSources } from './enrichment/policy.ts'
import { confirmErasure, withdrawErasure } from './erasure/erasure.ts'
import { changeCreationPolicy, changeRules, changeVisibility, disconnectMailbox } from './mailboxes/mailbox.ts'
import type { Command } from './platform/decider.ts'

/** Every command there is; each becomes an endpoint. A test keeps this list complete. */
export const commands: readonly Command[] = [
  createContact,
  upsertContact,
  updateContact,
  deleteContact,
  archiveContact,
  restoreContact,
  assignContact,
  addContactMethod,
  removeContactMethod,
  addNote,
  dismissDuplicate,
  reconsiderDuplicate,
  acceptContactValue,
  rejectContactValue,
  setContactField,
  releaseContactField,
  lockContactField,
  unlockContactField,
  undoContactEnrichment,
  setContactEnrichable,
  orderEnrichmentSources,
  enrichOnCreation,
  removeEmail,
  changeRules,
  changeCreationPolicy,
  changeVisibility,
  disconnectMailbox,
  confirmErasure,
  withdrawErasure,
]
