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
