import { deepStrictEqual } from 'node:assert/strict'
import t from 'tap'
import { type ImportOutcome, importEvents } from '../../schema/import-events.ts'
import { fileImport, finishImport, recordProgress, startImport } from '../../src/import/import.ts'
import { fold } from '../../src/platform/runner.ts'
import { given, id, subject as importId, rules } from '../support/given.ts'

const { ImportStarted, ImportProgressed, ImportFinished } = importEvents
const upload = { sha256: 'a'.repeat(64), sizeBytes: 1_000 }
const file = { kind: 'mbox' as const, sizeBytes: 1_000, upload, ownAddresses: ['me@own.example'], map: [] }
const none = { stored: 0, known: 0, created: 0, updated: 0, unchanged: 0, failed: 0 }
const stored = (index: number): ImportOutcome => ({ index, outcome: 'stored', emailId: id(index) })
const failed = (index: number): ImportOutcome => ({ index, outcome: 'failed', code: 'not-a-mail', reason: 'It is empty.' })
const started = ImportStarted({ importId, ...file })
const two = ImportProgressed({
  importId,
  done: 2,
  offset: 300,
  counts: { ...none, stored: 1, failed: 1 },
  outcomes: [stored(0), failed(1)],
})
const three = ImportProgressed({ importId, done: 3, offset: 900, counts: { ...none, stored: 2, failed: 1 }, outcomes: [stored(2)] })
const finished = ImportFinished({ importId, done: 3, offset: 900, counts: { ...none, stored: 2, failed: 1 } })

t.test('an import', async (t) => {
  const rule = rules(t)
  rule('starts', () => given().when(startImport, file).then(started))
  rule('starts once', () => given(started).when(startImport, file).thenNothing())
  rule('does not start again when it is over', () => given(started, finished).when(startImport, file).thenNothing())
  rule('records what became of its messages', () =>
    given(started)
      .when(recordProgress, { offset: 300, outcomes: [stored(0), failed(1)] })
      .then(two),
  )
  rule('adds up', () =>
    given(started, two)
      .when(recordProgress, { offset: 900, outcomes: [stored(2)] })
      .then(three),
  )
  rule('records nothing twice', () =>
    given(started, two)
      .when(recordProgress, { offset: 300, outcomes: [stored(0), failed(1)] })
      .refused('import-elsewhere'),
  )
  rule('leaves nothing out', () =>
    given(started)
      .when(recordProgress, { offset: 300, outcomes: [failed(1)] })
      .refused('import-elsewhere'),
  )
  rule('leaves no gap', () =>
    given(started)
      .when(recordProgress, { offset: 300, outcomes: [stored(0), stored(2)] })
      .refused('import-elsewhere'),
  )
  rule('records nothing before it starts', () =>
    given()
      .when(recordProgress, { offset: 300, outcomes: [stored(0)] })
      .refused('import-not-running'),
  )
  rule('nor after its end', () =>
    given(started, finished)
      .when(recordProgress, { offset: 300, outcomes: [stored(3)] })
      .refused('import-not-running'),
  )
  rule('ends', () => given(started, two, three).when(finishImport, { done: 3 }).then(finished))
  rule('ends once', () => given(started, finished).when(finishImport, { done: 3 }).thenNothing())
  rule('does not end before its time', () => given(started, two).when(finishImport, { done: 3 }).refused('import-elsewhere'))
  rule('does not end without a beginning', () => given().when(finishImport, { done: 0 }).refused('import-not-running'))
  rule('says why nothing could be read', () =>
    given(started)
      .when(finishImport, { done: 0, fault: 'It is HTML.' })
      .then(ImportFinished({ importId, done: 0, offset: 0, counts: none, fault: 'It is HTML.' })),
  )
})

t.test('the state is in the newest event alone', async (t) => {
  const rule = rules(t)
  for (const events of [[started], [started, two], [started, two, three], [started, two, three, finished]])
    rule(`after ${events.at(-1)!.type}`, () => deepStrictEqual(fold(fileImport, [events.at(-1)!]), fold(fileImport, events)))
})
