import { createHmac, createSecretKey } from 'node:crypto'
import { basename } from 'node:path'
import fastifyMultipart from '@fastify/multipart'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { BlobReference } from '../../schema/email.ts'
import type { ImportKind } from '../../schema/import-events.ts'
import { normalizeEmail } from '../platform/email-address.ts'
import { type Fault, Invalid, Refused } from '../platform/refusal.ts'
import { toUuid } from '../platform/uuid.ts'
import { UnreadableFile } from './contact-input.ts'
import { parseMap } from './csv-columns.ts'
import { SNIFFED_BYTES, sniff } from './sniff.ts'

const MAX_FIELDS = 500
const FIELD_BYTES = 10_000

/** Lets the routes of this scope take forms with files. A file may have any size: it is never held in memory. */
export const multipart = (scope: FastifyInstance) =>
  scope.register(fastifyMultipart, {
    limits: {
      fileSize: Number.MAX_SAFE_INTEGER,
      files: 2,
      fields: MAX_FIELDS,
      fieldSize: FIELD_BYTES,
      fieldNameSize: 100,
      parts: MAX_FIELDS + 2,
    },
    throwFileSizeLimit: false,
  })

export type Upload = {
  readonly importId: string
  readonly upload: BlobReference
  readonly fileName: string | undefined
  /** In their normal form, each once, in order. */
  readonly me: readonly string[] & string[]
  readonly map: readonly string[] & string[]
}

const PUT = 'smartcrm/import/1'

/**
 * What an import is known by: its file's bytes, one's own addresses and the columns' meanings. With a secret, so that nobody who sees the log can
 * tell whether a file that he has too was imported.
 * @param scope whose imports it is one of, where they are apart from those of others
 */
export const importIdOf = (
  secret: Uint8Array,
  sha256: string,
  me: readonly string[],
  map: readonly string[],
  scope: string | null,
): string =>
  toUuid(
    createHmac('sha256', createSecretKey(secret))
      .update(JSON.stringify([PUT, sha256, me, map, ...(scope === null ? [] : [scope])]))
      .digest()
      .subarray(0, 16),
    8,
  )

/**
 * Takes in a form: hands its file to `put` as it comes, and gives what the form says.
 * @throws Invalid naming everything that is wrong with it; Refused when it is no form, or ends before its end; what `put` throws
 */
export async function receive(
  request: FastifyRequest,
  secret: Uint8Array,
  scope: string | null,
  put: (file: AsyncIterable<Uint8Array>) => Promise<BlobReference>,
): Promise<Upload> {
  if (!request.isMultipart())
    throw new Refused('unsupported-media-type', 'Send a form as multipart/form-data, with the file in the field `file`.', 415)
  const faults: Fault[] = []
  const me = new Set<string>()
  const map: string[] = []
  let upload: BlobReference | undefined
  let fileName: string | undefined
  for await (const part of partsOf(request)) {
    // Whatever its type says: a part need not have one.
    const partName: string = part.fieldname ?? ''
    if (part.type === 'file') {
      const isFile = partName === 'file' && !upload
      if (!isFile) {
        faults.push({
          path: `/${partName}`,
          message: upload ? 'there can be one file only' : 'is not a known field for a file: it is called `file`',
        })
        part.file.resume()
        continue
      }
      fileName = nameOf(part.filename)
      upload = await put(whole(part.file))
      continue
    }
    const name = partName.replace(/\[\]$/, '')
    const text = String(part.value).trim()
    if (part.valueTruncated) faults.push({ path: `/${name}`, message: `must have ${FIELD_BYTES} bytes at most` })
    else if (name === 'me') {
      const address = normalizeEmail(text)
      if (address) me.add(address)
      else faults.push({ path: '/me', message: 'must be an e-mail address, like ada@example.com' })
    } else if (name === 'map') {
      try {
        parseMap(text)
        map.push(text)
      } catch (error) {
        if (!(error instanceof UnreadableFile)) throw error
        faults.push({ path: '/map', message: error.message })
      }
    } else if (name === 'file') faults.push({ path: '/file', message: 'must be a file, not a text' })
    else faults.push({ path: `/${name}`, message: 'is not a known field: there are `file`, `me` and `map`' })
  }
  if (!upload && !faults.some(({ path }) => path === '/file'))
    faults.push({ path: '/file', message: 'is missing: send the file to import' })
  if (upload?.sizeBytes === 0) faults.push({ path: '/file', message: 'is empty' })
  if (faults.length > 0) throw new Invalid(faults)
  const own = [...me].sort()
  return { importId: importIdOf(secret, upload!.sha256, own, map, scope), upload: upload!, fileName, me: own, map }
}

const incomplete = () => new Refused('form-incomplete', 'The form is cut short, or is none: send it again.', 400)

/** A file of a form to its end. @throws Refused when the form ends before it */
async function* whole(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* file
  } catch {
    throw incomplete()
  }
}

/** What the parser of forms throws is either its caller's fault or the end of the connection. */
async function* partsOf(request: FastifyRequest) {
  try {
    yield* request.parts()
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (typeof code === 'string' && /^FST_(PARTS|FILES|FIELDS)_LIMIT$/.test(code)) {
      throw new Refused('form-too-large', `The form has too many parts: one file, and ${MAX_FIELDS} fields at most.`, 413)
    }
    if (error instanceof Error && (typeof code !== 'string' || code.startsWith('FST_'))) {
      throw incomplete()
    }
    throw error
  }
}

/** Without the folders that some programs send along. */
const nameOf = (written: string | undefined): string | undefined =>
  basename((written ?? '').toWellFormed().replaceAll('\\', '/'))
    .replaceAll(/\p{Cc}/gu, '')
    .slice(0, 255) || undefined

/** Looks at the beginning of what flows through it. */
export function sniffing(): { through(file: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>; kind(): ImportKind } {
  const head: Uint8Array[] = []
  let headBytes = 0
  return {
    async *through(file) {
      for await (const piece of file) {
        if (headBytes < SNIFFED_BYTES) {
          head.push(Buffer.from(piece.subarray(0, SNIFFED_BYTES - headBytes)))
          headBytes += head.at(-1)!.length
        }
        yield piece
      }
    },
    kind: () => sniff(Buffer.concat(head)),
  }
}
