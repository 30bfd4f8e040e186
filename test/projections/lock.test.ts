import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { projections } from '../../projections/index.ts'
import { faultsOf, type Lock, lockOf, readSources, textOf } from '../support/projection-lock.ts'

const sources = readSources()
const locked = lockOf(sources)

/** Which projections are other ones after a change of a file's text. */
function changedBy(file: string, from: string | RegExp, to: string): string[] {
  const text = sources[file]!.replace(from, to)
  if (text === sources[file]) throw new Error(`${from} is not in ${file}`)
  const now = lockOf({ ...sources, [file]: text })
  return Object.keys(now).filter((name) => now[name]!.hash !== locked[name]!.hash)
}

t.test('the lock in the repository is that of its projections', async (t) => {
  t.equal(await readFile(join(import.meta.dirname, '../../projections/lock.json'), 'utf8'), textOf(locked))
  t.same(
    Object.entries(locked).map(([name, { version }]) => [name, version]),
    projections.map(({ name, version }) => [name, version]).sort(),
  )
})

t.test('what decides the rows is noticed', async (t) => {
  t.same(changedBy('contacts.ts', 'archived: true, ...touched', 'archived: false, ...touched'), ['contacts'], 'a handler')
  t.same(changedBy('contacts.ts', "company: 'text',", "company: 'json',"), ['contacts'], 'the kind of a column')
  t.same(changedBy('contacts.ts', "place: 'integer',", "place: 'integer', sort: 'integer',"), ['contacts'], 'a new column')
  t.same(changedBy('contacts.ts', "['contactId', 'methodId'], {", "['methodId', 'contactId'], {"), ['contacts'], 'a key')
  t.same(changedBy('contacts.ts', "'archived, updated_at, contact_id',", ''), ['contacts'], 'an index')
  t.same(changedBy('contacts.ts', 'label: label ?? null', 'label: label ?? type'), ['contacts'], 'a helper in the same file')
  t.same(
    changedBy('words.ts', 'MAX_WORDS = 100', 'MAX_WORDS = 99'),
    ['contact-words', 'duplicates'],
    'what a helper of another file goes by',
  )
  t.same(changedBy('emails.ts', 'SEARCHED_CHARACTERS = 50_000', 'SEARCHED_CHARACTERS = 9'), ['emails'], 'a column that Postgres computes')
  t.same(changedBy('mail-statistics.ts', 'max(at) filter', 'min(at) filter'), ['emails'], 'the SQL of a refresh')
  t.same(changedBy('base-subject.ts', "'re|aw|", "'re|"), ['emails'], 'a helper of a helper of a refresh')
})

t.test('what only queries use, comments, types and the form of the code are not', async (t) => {
  t.same(changedBy('timeline.ts', "'email-sent' else", "'mail-sent' else"), [], 'a query in the projection’s file')
  t.same(changedBy('contacts.ts', 'a.addedIn - b.addedIn', 'b.addedIn - a.addedIn'), [], 'how a row is shown')
  t.same(changedBy('words.ts', 'slice(0, 8)', 'slice(0, 9)'), [], 'how search texts are read, beside a helper')
  t.same(changedBy('contact-queries.ts', /createdAt/g, 'madeAt'), [])
  t.same(changedBy('contacts.ts', '// Names are sorted', '// Names and\n\n    // more are sorted'), [])
  t.same(changedBy('contacts.ts', 'const touched = ({ meta, revision }: RecordedEvent)', 'const touched = ({ meta, revision }: any)'), [])
  t.same(changedBy('emails.ts', 'const ownersOf = (contactId: string, methods', 'const ownersOf = (\n  contactId: string, methods'), [])
})

t.test('a helper that moves to another file is the same', async (t) => {
  const helper = /\/\*\* What every event about a contact changes of it\. \*\/\n(const touched = .*\n)/
  const [, code] = helper.exec(sources['contacts.ts']!)!
  const moved = {
    ...sources,
    'touched.ts': `export ${code}`,
    'contacts.ts': sources['contacts.ts']!.replace(helper, "import { touched } from './touched.ts'\n"),
  }
  t.same(lockOf(moved), locked)
  const changed = { ...moved, 'touched.ts': moved['touched.ts'].replace('revision })', 'revision: 0 })') }
  t.not(lockOf(changed)['contacts']!.hash, locked['contacts']!.hash)
})

t.test('who changed a projection raises its version, or says that the rows are the same', async (t) => {
  const lock = (version: number, hash: string): Lock => ({ ...locked, contacts: { version, hash } })
  t.same(faultsOf(lock(3, 'a'), lock(3, 'a')), [])
  t.same(faultsOf(lock(3, 'a'), lock(4, 'b')), [])
  t.same(faultsOf({}, lock(1, 'a')), [], 'a new one')
  t.same(faultsOf(lock(1, 'a'), {}), [], 'one that is gone')
  const [fault, ...others] = faultsOf(lock(3, 'a'), lock(3, 'b'))
  t.match(fault, /contacts has changed without a new version.*Raise its version and run `npm run lock`.*`npm run lock -- --same-rows`/)
  t.same(others, [])
  t.same(faultsOf(lock(3, 'a'), lock(3, 'b'), { sameRows: true }), [])
  t.match(faultsOf(lock(3, 'a'), lock(2, 'b'), { sameRows: true }), [/contacts went back from 3/])
})

t.test('code that it cannot read is refused', async (t) => {
  const refused = (from: string, to: string) => t.throws(() => changedBy('contacts.ts', from, to), /can be read|not of the form/)
  refused('version: 3', 'version: two')
  refused('const touched', 'touch()\nconst touched')
  refused(
    "import { projection, table } from '../src/platform/projection.ts'",
    "import * as words from './words.ts'\nwords.x()\nimport { projection, table } from '../src/platform/projection.ts'",
  )
})
