import { type Static, Type } from '@sinclair/typebox'
import { Id, Instant, nullable, oneOf } from './shared.ts'
import { UndoCounts, undoConflictCodes, undoOutcomes } from './undo-events.ts'

/** The reactor that begins undos. By this name it is known which job one has. */
export const UNDO_REACTOR = 'undo-on-started'

export const UndoInput = Type.Object(
  {
    commandId: Type.Optional({ ...Id, description: 'What one command changed; as histories and the trail name it.' }),
    correlationId: Type.Optional({
      ...Id,
      description:
        'All that followed from one thing: of an import or an undo its id, of a batch the `correlationId` that it answered with.',
    }),
    dryRun: Type.Optional(Type.Boolean({ default: false, description: 'Only find out what would be put back, and what would stay.' })),
  },
  { additionalProperties: false, examples: [{ correlationId: '6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11', dryRun: true }] },
)

export const undoStates = ['waiting', 'running', 'finished'] as const

/** An undo as the API shows it. */
export const Undo = Type.Object(
  {
    id: Type.String({ ...Id, description: 'Also the correlation id of all that it changes: it is undone by it.' }),
    jobId: Type.String({ ...Id, description: 'The job that carries it out: /v1/jobs/{id} says why it does not go on.' }),
    commandId: nullable(Type.String({ description: 'The command that is undone.' })),
    correlationId: nullable(Type.String({ description: 'What is undone, by its correlation id.' })),
    dryRun: Type.Boolean(),
    state: oneOf(undoStates),
    done: Type.Integer({ description: 'How many contacts, mails and other things have their outcome.' }),
    counts: UndoCounts,
    actor: Type.String(),
    startedAt: Instant,
    finishedAt: nullable(Instant),
  },
  { title: 'Undo' },
)
export type Undo = Static<typeof Undo>

const nextCursor = nullable(Type.String({ description: 'Send it as `cursor`, with the same filters, for the page after this one.' }))
export const UndoPage = Type.Object({ data: Type.Array(Undo), nextCursor }, { title: 'UndoPage' })

const value = (description: string) => Type.Optional(Type.Unknown({ description }))

export const UndoResult = Type.Object(
  {
    stream: Type.String({ examples: ['contact-6f1c1a52-7d0e-4a8b-9c38-0d7a5c2b9e11'] }),
    outcome: oneOf(undoOutcomes, {
      description:
        '`undone`; `partly`: some of it, and the rest is in conflict; `conflict`: nothing of it; `unchanged`: it is as it was before already; `kept`: what it is can’t be undone; `absent`: it is not there for who asked.',
    }),
    code: Type.Optional(Type.String({ description: 'Of what is kept: why, for programs.' })),
    reason: Type.Optional(Type.String({ description: 'And for people.' })),
    putBack: Type.Array(
      Type.Object({
        field: Type.String({ examples: ['name'] }),
        from: value('What it was when the undo came to it. Left out, as `to` is, where that is erased, or not shown to the caller.'),
        to: value('What it was before the undone change, and is (with `dryRun`: would be) again; null: it was not there.'),
      }),
    ),
    conflicts: Type.Array(
      Type.Object({
        field: Type.String(),
        code: oneOf(undoConflictCodes, {
          description:
            '`changed-since` by somebody else; `address-taken`: another contact has it by now; `address-suppressed`: whoever had it was erased; `merged`: the contact is part of another by now; `merge-refused`: a merge can’t be taken back, or made again; `there-already`: somebody gave the same again; `brought-elsewhere`: the mail came from another file or mailbox, too; `content-gone`: the mail’s content was swept; `not-allowed` to the key that asked; `erased`.',
        }),
        now: value('What it is.'),
        eventId: Type.Optional({ ...Id, description: 'What made it so.' }),
        actor: Type.Optional(Type.String({ description: 'Who did.' })),
        at: Type.Optional(Instant),
        owner: Type.Optional({ ...Id, description: 'Of a taken address: the contact that has it.' }),
      }),
    ),
  },
  { title: 'UndoResult' },
)
export type UndoResult = Static<typeof UndoResult>
export const UndoResultPage = Type.Object({ data: Type.Array(UndoResult), nextCursor }, { title: 'UndoResultPage' })
