import { contactEvents, type Method } from '../schema/contact-events.ts'
import { duplicateEvents } from '../schema/duplicate-events.ts'
import { projection, type RowWrite, table } from '../src/platform/projection.ts'
import { type Key, keysOfCompany, keysOfMethod, keysOfName } from './duplicate-keys.ts'
import { refreshPairs } from './duplicate-pairs.ts'

const {
  ContactCreated,
  ContactRenamed,
  ContactCompanyChanged,
  ContactMethodAdded,
  ContactMethodRemoved,
  ContactArchived,
  ContactRestored,
  ContactMergedInto,
  ContactMerged,
  ContactUnmerged,
  ContactUnmergedFrom,
  ContactErased,
} = contactEvents

/** What contacts have in common by which they may be the same; who then may be; and who is said not to be. */
export const duplicates = projection({
  name: 'duplicates',
  version: 2,
  tables: {
    // `source` is where the key is from: name, company, or the id of a method. Who is part of another contact has none.
    duplicateKeys: table(
      ['contactId', 'source', 'kind', 'key'],
      { contactId: 'uuid', source: 'text', kind: 'text', key: 'text' },
      'kind, key, contact_id',
    ),
    // The smaller id is the first. `score` in thousandths.
    duplicatePairs: table(
      ['contactId', 'otherId'],
      { contactId: 'uuid', otherId: 'uuid', score: 'integer', reasons: 'json' },
      'score, contact_id, other_id',
      'other_id',
    ),
    dismissedDuplicates: table(['contactId', 'otherId'], { contactId: 'uuid', otherId: 'uuid' }),
    archivedContacts: table('contactId', { contactId: 'uuid' }),
  },
  events: {
    ContactCreated,
    ContactRenamed,
    ContactCompanyChanged,
    ContactMethodAdded,
    ContactMethodRemoved,
    ContactArchived,
    ContactRestored,
    ContactMergedInto,
    ContactMerged,
    ContactUnmerged,
    ContactUnmergedFrom,
    ContactErased,
    ...duplicateEvents,
  },
  on: {
    ContactCreated: (_tables, { contactId, ...said }) => keysSaid(contactId, said),
    ContactRenamed: (_tables, { contactId, name }) => anew(contactId, { name }),
    ContactCompanyChanged: (_tables, { contactId, company }) => anew(contactId, { company }),
    ContactMethodAdded: (_tables, { contactId, method }) => keysSaid(contactId, { methods: [method] }),
    ContactMethodRemoved: ({ duplicateKeys }, { contactId, methodId }) => [duplicateKeys.remove({ contactId, source: methodId })],
    ContactArchived: ({ archivedContacts }, { contactId }) => [archivedContacts.put({ contactId })],
    ContactRestored: ({ archivedContacts }, { contactId }) => [archivedContacts.remove({ contactId })],
    ContactMergedInto: ({ duplicateKeys }, { contactId }) => [duplicateKeys.remove({ contactId })],
    ContactMerged: (_tables, { contactId, name, company, methods }) => anew(contactId, { name, company, methods }),
    ContactUnmerged: ({ duplicateKeys }, { contactId, name, company, methods, methodIds }) => [
      ...methodIds.map((methodId) => duplicateKeys.remove({ contactId, source: methodId })),
      ...anew(contactId, { name, company, methods }),
    ],
    ContactUnmergedFrom: ({ duplicateKeys, archivedContacts }, { contactId, archived, ...said }) => [
      archived ? archivedContacts.put({ contactId }) : archivedContacts.remove({ contactId }),
      duplicateKeys.remove({ contactId }),
      ...keysSaid(contactId, said),
    ],
    ContactErased: ({ duplicateKeys, archivedContacts }, { contactId }) => [
      duplicateKeys.remove({ contactId }),
      archivedContacts.remove({ contactId }),
    ],
    DuplicateDismissed: ({ dismissedDuplicates }, { contactId, otherId }) => [dismissedDuplicates.put({ contactId, otherId })],
    DuplicateReconsidered: ({ dismissedDuplicates }, { contactId, otherId }) => [dismissedDuplicates.remove({ contactId, otherId })],
  },
  refresh: [refreshPairs],
})

type Said = { name?: string | undefined; company?: string | null | undefined; methods?: readonly Method[] }

function keysSaid(contactId: string, { name, company, methods = [] }: Said): RowWrite[] {
  const row = (source: string) => (key: Key) => duplicates.tables.duplicateKeys.put({ contactId, source, ...key })
  return [
    ...keysOfName(name ?? '').map(row('name')),
    ...keysOfCompany(company).map(row('company')),
    ...methods.flatMap((method) => keysOfMethod(method).map(row(method.id))),
  ]
}

/** The keys of what is said, in the place of those that were there; what is not named stays. */
function anew(contactId: string, said: Said): RowWrite[] {
  const { duplicateKeys } = duplicates.tables
  return [
    ...(said.name === undefined ? [] : [duplicateKeys.remove({ contactId, source: 'name' })]),
    ...(said.company === undefined ? [] : [duplicateKeys.remove({ contactId, source: 'company' })]),
    ...keysSaid(contactId, said),
  ]
}
