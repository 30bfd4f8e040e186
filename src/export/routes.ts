import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { Id } from '../../schema/shared.ts'
import { contact, existing } from '../contacts/contact.ts'
import { withSurvivor } from '../contacts/merging.ts'
import { refuseErased, sees } from '../contacts/past.ts'
import { attachmentDisposition } from '../platform/http/content-disposition.ts'
import { problemResponse } from '../platform/http/problem-response.ts'
import type { Tables } from '../platform/http/queries.ts'
import { formatPosition } from '../platform/position.ts'
import { Refused, Unavailable } from '../platform/refusal.ts'
import { fold } from '../platform/runner.ts'
import { zipped } from '../platform/zip.ts'
import type { Services } from '../services.ts'
import { entriesOf } from './entries.ts'

const OPERATION = 'exportContact'
/** How long the tables are waited for. */
const BEHIND_MS = 10_000

/** `GET /v1/contacts/{id}/export`. */
export function exportRoutes(app: FastifyInstance, services: Services, tables: Tables): void {
  const { runner, store } = services
  app.get('/v1/contacts/:id/export', {
    // It would be recorded as an export, and be none.
    exposeHeadRoute: false,
    schema: {
      operationId: OPERATION,
      summary: 'All that is known of a contact, as a zip',
      description:
        'The contact with its notes (`contact.json`), as a vCard 4.0 (`contact.vcf`), its history with causes (and those of contacts that were merged into it, `merged/…`), what enrichment found with sources, its threads and mails (`emails/…eml` as they came, with attachments), who was shown it, and last `manifest.json` with the SHA-256 of every file. What the key’s other permissions do not let one see is left out, and the manifest says so; of a mail that is not shared whole there is what may be seen. It is streamed: a download that breaks off is not whole.',
      tags: ['contacts'],
      params: Type.Object({ id: Id }),
      response: {
        200: {
          description: 'The export.',
          content: { 'application/zip': { schema: { type: 'string', format: 'binary' } } },
        },
        301: { description: 'It is part of another contact: the export of that.', type: 'null', headers: { Location: { type: 'string' } } },
        default: problemResponse,
      },
    },
    async handler(request, reply) {
      const { id: contactId } = request.params as { id: string }
      const { caller, work, server } = request
      const events = await runner.load(`contact-${contactId}`)
      if (events.length === 0 || !sees(caller.viewer, events)) throw new Refused('contact-not-found', 'There is no such contact.', 404)
      refuseErased(events)
      const { mergedInto } = await withSurvivor(runner, existing(fold(contact, events)))
      if (mergedInto) {
        const survivor = await runner.load(`contact-${mergedInto.into}`)
        if (!sees(caller.viewer, survivor)) throw new Refused('contact-not-found', 'There is no such contact.', 404)
        const location = `/v1/contacts/${mergedInto.into}/export`
        return reply.code(301).header('location', location).header('cache-control', 'private, no-store').send()
      }
      const position = (await store.tail())!
      work.leave()
      const isThere = await tables.waitFor(position, BEHIND_MS, server.closing).finally(() => work.rejoin())
      if (!isThere) throw new Unavailable('The read tables are behind: an export now would not be whole.', { retryAfterSeconds: 5 })
      const wanted = {
        contactId,
        events,
        caller,
        operation: OPERATION,
        requestId: request.id,
        position: formatPosition(position),
        at: new Date(),
      }
      reply.headers({
        'content-type': 'application/zip',
        'content-disposition': attachmentDisposition(`contact-${contactId}.zip`),
        'cache-control': 'no-store',
      })
      return reply.send(zipped((files) => entriesOf(services, wanted, files)))
    },
  })
}
