import { contactQueries } from './contact-queries.ts'
import { contactWords } from './contact-words.ts'
import { contacts } from './contacts.ts'
import { emails } from './emails.ts'
import { timeline, timelineQueries } from './timeline.ts'

/** Every read model, in no order: none reads another's tables while it writes. A test keeps the lists complete. */
export const projections = [contacts, contactWords, timeline, emails]

/** Every question that the read tables answer. */
export const queries = [...contactQueries, ...timelineQueries]
