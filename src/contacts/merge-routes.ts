import { type Static, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { countMails } from '../../projections/email-lists.ts'
import { Contact, ContactMethod } from '../../schema/contact.ts'
import { Choice, type contactEvents } from '../../schema/contact-events.ts'
import { fieldNames } from '../../schema/enrichment.ts'
import { Id } from '../../schema/shared.ts'
import type { RecordedEvent } from '../platform/event.ts'
import { commandSchema, requestOf, sendPosition } from '../platform/http/commands.ts'
import { etagOf } from '../platform/http/preconditions.ts'
import { fold } from '../platform/runner.ts'
import type { Services } from '../services.ts'
import { addressesAmong, contact, existing } from './contact.ts'
import { type Choose, type Merging, mergeContacts, unmergeContacts } from './merge-requests.ts'
import { contactAt } from './past.ts'

const strict = { additionalProperties: false }
const dryRun = Type.Optional(Type.Boolean({ default: false, description: 'Only tell what would come of it.' }))

const MergeBody = Type.Object(
  {
    from: { ...Id, description: 'The contact that becomes part of the one in the path.' },
    choose: Type.Optional(
      Type.Object(Object.fromEntries(['name', 'owner', ...fieldNames].map((field) => [field, Type.Optional(Choice)])), {
        ...strict,
        description:
          "By field whose value stays, the survivor's or that of `from`. Unless it says, the survivor's; where it has none, what the other has. `owner` is owner and team; of the fields that enrichment finds it is about what people said.",
      }),
    ),
    dryRun,
  },
  { ...strict, examples: [{ from: '7a2d9c10-3f4b-4c5d-8e6f-1a2b3c4d5e6f', choose: { name: 'from' } }] },
)
const UnmergeBody = Type.Object(
  { from: { ...Id, description: 'The contact that is to live again.' }, dryRun },
  { ...strict, examples: [{ from: '7a2d9c10-3f4b-4c5d-8e6f-1a2b3c4d5e6f' }] },
)

const moves = {
  methods: Type.Array(ContactMethod, { description: 'The ways to reach it that change sides.' }),
  values: Type.Integer({ description: 'How many values that enrichments proposed.' }),
  emails: Type.Integer({ description: 'How many mails, by their addresses.' }),
}
const MergePreview = Type.Object(
  {
    dryRun: Type.Literal(true),
    contact: Contact,
    moves: Type.Object({ ...moves, contacts: Type.Array(Id, { description: 'Those that become part of it.' }) }),
  },
  { title: 'MergePreview' },
)
const Conflict = Type.Object({
  field: Type.String({ examples: ['name'] }),
  kept: Type.Unknown({ description: 'What it is: somebody changed it since the merge, and so it stays.' }),
})
const Unmerged = Type.Object(
  { contact: Contact, unmerged: Contact, conflicts: Type.Array(Conflict, { description: 'What the merge took and is not put back.' }) },
  { title: 'Unmerged' },
)
const UnmergePreview = Type.Object(
  { dryRun: Type.Literal(true), ...Unmerged.properties, moves: Type.Object(moves) },
  { title: 'UnmergePreview' },
)

type MergedData = ReturnType<typeof contactEvents.ContactMerged>['data']
type UnmergedData = ReturnType<typeof contactEvents.ContactUnmerged>['data']

const lastOf = <D>(events: readonly RecordedEvent[], type: string) => events.findLast((event) => event.type === type)?.data as D | undefined
const stateOf = (events: readonly RecordedEvent[]) => existing(fold(contact, events))

/** What somebody changed since the merge, as it is. */
function conflictsOf({ survivor }: Merging, from: string) {
  const told = survivor.findLast(({ type, data }) => type === 'ContactUnmerged' && (data as UnmergedData).from === from)
    ?.data as UnmergedData
  const { name, company, owner, enriched } = stateOf(survivor)
  const own: Record<string, unknown> = { ...enriched?.own, name, company, owner }
  return (told?.kept ?? []).map((field) => ({ field, kept: own[field] ?? null }))
}

/** Merging contacts, and taking that back. */
export function mergeRoutes(app: FastifyInstance, { runner, vault, pool }: Pick<Services, 'runner' | 'vault' | 'pool'>): void {
  const secret = vault.secret('requests')
  const common = { tags: ['contacts'], params: Type.Object({ id: Id }) }
  const send = (reply: FastifyReply, { survivor, position }: Merging, answer: object) => {
    const text = JSON.stringify(answer)
    sendPosition(reply, position)
    reply.header('etag', etagOf(text, survivor.at(-1)!.revision))
    return reply.type('application/json; charset=utf-8').serializer(String).send(text)
  }

  app.post('/v1/contacts/:id/merge', {
    schema: {
      operationId: 'mergeContacts',
      summary: 'Merge another contact into this one',
      description:
        'Both histories are kept: this one shows what was of the other, too, whose id leads here from now on (301). Mail goes by addresses, and so comes along.',
      ...common,
      body: MergeBody,
      ...commandSchema({ 200: { anyOf: [Contact, MergePreview] } }),
    },
    async handler(http, reply) {
      const { id } = http.params as { id: string }
      const body = http.body as Static<typeof MergeBody> & { choose?: Choose }
      const merging = await mergeContacts(runner, { id, ...body }, requestOf(http, secret))
      const merged = contactAt(merging.survivor, id)!
      if (!body.dryRun) return send(reply, merging, merged)
      const { methods = [], values = [], brought = [] } = lastOf<MergedData>(merging.survivor, 'ContactMerged') ?? {}
      const emails = await countMails(pool, addressesAmong(methods))
      const contacts = [body.from, ...brought.map(({ contactId }) => contactId)]
      reply.header('cache-control', 'no-store')
      return send(reply, merging, { dryRun: true, contact: merged, moves: { methods, values: values.length, emails, contacts } })
    },
  })

  app.post('/v1/contacts/:id/unmerge', {
    schema: {
      operationId: 'unmergeContacts',
      summary: 'Take a contact that was merged into this one out again',
      description:
        'It lives again with what it had, less what was removed here since; mail goes by addresses. What was added here since stays here. What the merge took is put back where nobody changed it since.',
      ...common,
      body: UnmergeBody,
      ...commandSchema({ 200: { anyOf: [Unmerged, UnmergePreview] } }),
    },
    async handler(http, reply) {
      const { id } = http.params as { id: string }
      const { from, dryRun = false } = http.body as Static<typeof UnmergeBody>
      const merging = await unmergeContacts(runner, { id, from, dryRun }, requestOf(http, secret))
      const answer = {
        contact: contactAt(merging.survivor, id)!,
        unmerged: contactAt(merging.from, from)!,
        conflicts: conflictsOf(merging, from),
      }
      if (!dryRun) return send(reply, merging, answer)
      const { methodIds = [], valueIds = [] } = lastOf<UnmergedData>(merging.survivor, 'ContactUnmerged') ?? {}
      const methods = stateOf(merging.from).methods.filter((method) => methodIds.includes(method.id))
      const emails = await countMails(pool, addressesAmong(methods))
      reply.header('cache-control', 'no-store')
      return send(reply, merging, { dryRun: true, ...answer, moves: { methods, values: valueIds.length, emails } })
    },
  })
}
