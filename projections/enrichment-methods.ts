import type { Method } from '../schema/contact-events.ts'
import type { Field } from '../schema/enrichment.ts'

/** The field that a method of a contact is a value of, if any. */
const fieldOfMethod: Partial<Record<Method['type'], Field>> = { phone: 'phones', url: 'website', social: 'socialProfiles' }

/** Whether a method is a value of a field that enrichment fills, too. */
export const isField = ({ type }: Method) => fieldOfMethod[type] !== undefined
/** As the table of such methods has it. */
export const columnsOf = ({ id, type, value }: Method) => ({ methodId: id, field: fieldOfMethod[type]!, value, removed: false })
