import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { failedRaw } from '../../projections/imports.ts'
import { IMPORT_REACTOR, ImportAccepted } from '../../schema/import.ts'
import { Id } from '../../schema/shared.ts'
import { sendBlob } from '../platform/http/blobs.ts'
import { positionHeader, requestOf, sendPosition } from '../platform/http/commands.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import { reactorJobId } from '../platform/reactor.ts'
import { Refused } from '../platform/refusal.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Services } from '../services.ts'
import { startImport } from './import.ts'
import { multipart, receive, sniffing } from './upload.ts'

const Form = Type.Object(
  {
    file: Type.String({
      format: 'binary',
      description: 'A mail (.eml), a mailbox (mbox), a CSV or a vCard file, of any size. It is told by its content which.',
    }),
    me: Type.Optional(
      Type.Array(Type.String(), { description: "One's own addresses (repeat the field): a mail from one of them is a sent one." }),
    ),
    map: Type.Optional(Type.Array(Type.String(), { description: 'What columns of a CSV file are, as `smartcrm import --map` takes it.' })),
  },
  { examples: [{ file: '(the bytes of the file)', me: ['ada@example.com'] }] },
)

const uploadSchema = {
  operationId: 'createImport',
  summary: 'Import a file: mails or contacts',
  description:
    'The file is taken in as it comes, and worked on afterwards by the job that Location names. What it is known by is its content, with `me` and `map`: ' +
    'the same again is the same import, and changes nothing, with or without an Idempotency-Key.',
  tags: ['imports'],
  consumes: ['multipart/form-data'],
  body: Form,
  response: {
    202: {
      description: 'Taken in; or it was there before.',
      headers: { ...positionHeader, Location: { type: 'string', description: 'The job that does it.' } },
      content: { 'application/json': { schema: ImportAccepted } },
    },
    default: problemResponse,
  },
}

/** Who does not see all has imports of his own: what others have taken in is not there for him. */
const scopeOf = ({ sees, owner }: Viewer): string | null => (sees === 'all' ? null : owner)

/** Files come in, and mails that could not be read go out as they came. */
export async function importRoutes(app: FastifyInstance, services: Services): Promise<void> {
  const { runner, vault, blobs, store, pool } = services
  const secret = vault.secret('requests')

  await app.register(async (scope) => {
    await multipart(scope)
    scope.post('/v1/imports', {
      schema: uploadSchema,
      config: { unhurried: true },
      // The parts are checked as they come, by `receive`.
      validatorCompiler: () => () => true,
      async handler(http, reply) {
        // It comes as fast as its sender sends it.
        http.work.leave()
        const asked = requestOf(http, secret, null)
        const { viewer } = http.caller
        const key = await vault.claim()
        const sniffed = sniffing()
        // The key is this upload's alone, so all that it has sealed can be removed with it.
        const discard = async () => {
          for await (const blob of blobs.list(key.id)) await blobs.remove(blob)
        }
        const { upload, ...form } = await receive(http, vault.secret('emails'), scopeOf(viewer), (file) =>
          blobs.put(key, sniffed.through(file)),
        ).catch(async (error) => {
          await discard().catch(() => {})
          throw error
        })
        const kind = sniffed.kind()
        const { importId, fileName, me, map } = form
        const body = {
          kind,
          sizeBytes: upload.sizeBytes,
          upload,
          ...(fileName !== undefined && { fileName }),
          ownAddresses: me,
          map,
          viewer,
        }
        // All that follows from an import can be told, and undone, by its id.
        const correlationId = http.headers['x-correlation-id'] === undefined ? importId : asked.correlationId
        const request = { ...asked, request: importId, correlationId, key, fresh: false, ifMatch: undefined }
        const known = (await store.readLast(`import-${importId}`)) !== null
        const outcome = known ? null : await runner.execute(startImport, body, { id: importId }, request)
        const isNew = outcome !== null && outcome.made > 0 && !outcome.repeated
        if (!isNew) await discard().catch(() => {})
        const first = await store.readFirst(`import-${importId}`)
        const jobId = reactorJobId(IMPORT_REACTOR, first!.id)
        sendPosition(reply, outcome?.position ?? first!.position)
        reply.header('location', `/v1/jobs/${jobId}`)
        return reply.code(202).send({ id: importId, jobId, kind, sizeBytes: upload.sizeBytes, sha256: upload.sha256, known: !isNew })
      },
    })
  })

  app.get('/v1/imports/:id/results/:index/raw', {
    schema: {
      operationId: 'getImportResultRaw',
      summary: 'A mail that could not be read, as it came',
      tags: ['imports'],
      params: Type.Object({ id: Id, index: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }) }),
      response: {
        200: { description: 'The bytes.', content: { 'message/rfc822': { schema: { type: 'string', format: 'binary' } } } },
        default: problemResponse,
      },
    },
    async handler(request: FastifyRequest, reply) {
      const { id, index } = request.params as { id: string; index: number }
      const raw = await failedRaw(pool, request.caller.viewer, id, index)
      if (!raw) throw new Refused('import-result-not-found', 'There is no such result, or its mail is not kept apart.', 404)
      const first = await store.readFirst(`import-${id}`)
      const keyId = (first?.metadata as { key?: string } | undefined)?.key
      if (!keyId) throw new Refused('import-result-not-found', 'There is no such import.', 404)
      const key = (await vault.keys([keyId])).get(keyId) ?? null
      return sendBlob(request, reply, blobs, {
        key: { id: keyId, key },
        sha256: raw.sha256,
        type: 'message/rfc822',
        as: 'attachment',
        name: `${id}-${index}.eml`,
      })
    },
  })
}
