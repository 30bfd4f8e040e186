import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import type { ContactInput, Row } from '../import/contact-input.ts'
import { type ReadOptions, readContacts } from '../import/contacts.ts'
import { Fault } from '../platform/fault.ts'
import { uuidv5 } from '../platform/uuid.ts'

/** What a file holds. `importId` is the correlation id of every event that importing it makes. */
export type Survey = { path: string; importId: string; rows: number; contacts: number; columns?: { used: string[]; unused: string[] } }

/** The contacts that go into one request. `index` counts the requests of a file from 0. */
export type Batch = { index: number; contacts: Contact[]; faults: FaultRow[] }
type Contact = Extract<Row, { input: ContactInput }>
export type FaultRow = Extract<Row, { fault: string }>

type OnFault = (path: string, row: FaultRow) => Promise<void>

const BATCH_CONTACTS = 500

/** Below the size from which HTTP servers refuse a body unless told otherwise (1 MiB). */
const BATCH_BYTES = 900_000

// For ever: a file that was begun before must find its own commands again. The first line of the digest is changed with the way in
// which batches are cut, because the same key with another body is refused.
const IMPORT_NAMESPACE = 'c79fc5ec-f75c-4e66-912d-800050664607'
const DIGEST_HEADER = `batches of ${BATCH_CONTACTS} contacts or ${BATCH_BYTES} bytes\n`

/**
 * Reads a file once, to know how much it holds and its import id: a UUIDv5 of the SHA-256 of the contacts that it gives. Over the contacts
 * rather than the bytes, because then the same id always means the same requests, also when another encoding, another `--map` or
 * a later version of the readers is used.
 * @throws UnreadableFile
 */
async function surveyFile(path: string, options: ReadOptions, onFault?: OnFault): Promise<Survey> {
  const digest = importDigest()
  const survey: Survey = { path, importId: '', rows: 0, contacts: 0 }
  const onColumns = (columns: NonNullable<Survey['columns']>) => {
    survey.columns = columns
  }
  for await (const row of readContacts(path, { ...options, onColumns })) {
    survey.rows++
    if ('fault' in row) await onFault?.(path, row)
    else {
      survey.contacts++
      digest.add(row.input)
    }
  }
  return { ...survey, importId: digest.importId() }
}

/**
 * Looks through all files before anything is sent, so that a wrong one does not stop an import half-way.
 * @throws Fault naming everything that cannot be read
 */
export async function surveyAll(paths: string[], options: ReadOptions, onFault?: OnFault): Promise<Survey[]> {
  const surveys: Survey[] = []
  const faults: string[] = []
  for (const path of paths) {
    try {
      if (!(await stat(path)).isFile()) throw new Fault('It is not a file.')
      surveys.push(await surveyFile(path, options, onFault))
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (!(error instanceof Fault) && !code) throw error
      faults.push(`${path}: ${code === 'ENOENT' ? 'There is no such file.' : message}`)
    }
  }
  if (faults.length) throw new Fault(faults.join('\n'))
  return surveys
}

/** Adds up to the import id of a file. */
export function importDigest() {
  const hash = createHash('sha256').update(DIGEST_HEADER)
  return {
    add: (input: ContactInput) => hash.update(`${JSON.stringify(input)}\n`),
    importId: () => uuidv5(hash.digest('hex'), IMPORT_NAMESPACE),
  }
}

/** Where a batch ends depends on its contacts alone. Faults go along with the batch in which they were met, or by themselves when there are many. */
export async function* batches(rows: AsyncIterable<Row>): AsyncGenerator<Batch> {
  let batch: Batch = { index: 0, contacts: [], faults: [] }
  let bytes = 0
  for await (const row of rows) {
    if ('fault' in row) {
      batch.faults.push(row)
      if (batch.faults.length < BATCH_CONTACTS) continue
      yield { ...batch, contacts: [] }
      batch.faults = []
      continue
    }
    const rowBytes = Buffer.byteLength(JSON.stringify(row.input)) + 1
    if (batch.contacts.length && (batch.contacts.length === BATCH_CONTACTS || bytes + rowBytes > BATCH_BYTES)) {
      yield batch
      batch = { index: batch.index + 1, contacts: [], faults: [] }
      bytes = 0
    }
    batch.contacts.push(row)
    bytes += rowBytes
  }
  if (batch.contacts.length || batch.faults.length) yield batch
}
