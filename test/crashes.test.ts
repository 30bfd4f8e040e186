import t from 'tap'
import { contactsImportCrash } from './support/crashes/contacts-import.ts'
import { mailImportCrash, PATIENCE_MS } from './support/crashes/mail-import.ts'
import { startCrashing } from './support/crashes/service.ts'
import { LIMIT_MS, undoCrash } from './support/crashes/undo.ts'

/* What is killed in its middle, one after the other in one SmartCRM: to start it costs more than most of what is done to it. */
t.setTimeout(200_000 + LIMIT_MS + 2 * PATIENCE_MS)
const crm = await startCrashing(t)

t.test('an import survives kill -9 of everything, and its repetition changes nothing', (t) => contactsImportCrash(t, crm))
t.test('an undo survives kill -9 of everything, and undoes each contact once', (t) => undoCrash(t, crm))
t.test('an import of mail survives kill -9 of its worker, and nothing is lost or there twice', (t) => mailImportCrash(t, crm))
