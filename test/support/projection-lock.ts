import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

/** Each projection's version, and a hash over all code in projections/ that decides its rows. */
export type Lock = Readonly<Record<string, { readonly version: number; readonly hash: string }>>

/** Texts of source files by their names. */
export type Sources = Readonly<Record<string, string>>

const folder = join(import.meta.dirname, '../../projections')

export const readSources = (): Sources =>
  Object.fromEntries(
    readdirSync(folder)
      .filter((name) => name.endsWith('.ts'))
      .map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  )

type Statement = { readonly text: string; readonly declares: readonly string[] }
type File = { readonly statements: readonly Statement[]; readonly imports: ReadonlyMap<string, { file: string; name: string }> }

/**
 * What the projections of these files are: of each what its declaration says and whatever that mentions, at any remove, among what the files declare.
 * Comments, types and the form of the code do not count, nor what only queries use, nor in which file it stands. A word that is mentioned in another
 * sense (a column that is called like a function) is taken for a use: that may notice too much, and never too little.
 */
export function lockOf(sources: Sources): Lock {
  const files = new Map(Object.entries(sources).map(([name, text]) => [name, parse(name, text)]))
  const lock: [string, { version: number; hash: string }][] = []
  for (const [file, { statements }] of files) {
    for (const { text, declares } of statements) {
      if (!/= projection\(/.test(text)) continue
      const [, name] = /^ {4}name: '([^']+)'/m.exec(text) ?? []
      const [, version] = /^ {4}version: (\d+)/m.exec(text) ?? []
      if (!name || !version)
        throw new Error(`The projection ${declares} of ${file} has no name or version that can be read: write them out.`)
      const code = [...reachedFrom(files, file, declares[0]!)].map(({ text }) => text.replace(/^export /, '')).sort()
      lock.push([name, { version: Number(version), hash: createHash('sha256').update(JSON.stringify(code)).digest('hex') }])
    }
  }
  return Object.fromEntries(lock.sort())
}

function reachedFrom(files: ReadonlyMap<string, File>, file: string, name: string): Set<Statement> {
  const reached = new Set<Statement>()
  const visit = (file: string, name: string) => {
    const { statements, imports } = files.get(file) ?? { statements: [], imports: new Map() }
    const imported = imports.get(name)
    if (imported) visit(imported.file, imported.name)
    for (const statement of statements) {
      if (reached.has(statement) || !statement.declares.includes(name)) continue
      reached.add(statement)
      for (const [word] of statement.text.matchAll(/[\w$]+/g)) visit(file, word)
    }
  }
  visit(file, name)
  return reached
}

const parsed = new Map<string, File>()

/** A file's statements as Node prints them without types: without comments, in one form, each beginning at the start of a line. */
function parse(file: string, text: string): File {
  const known = parsed.get(text)
  if (known) return known
  const imports = new Map<string, { file: string; name: string }>()
  const statements: Statement[] = []
  const printed = stripTypeScriptTypes(text, { mode: 'transform' })
  for (const text of printed.split(/\n(?=[a-z])/).map((text) => text.trim())) {
    if (text === '') continue
    const [, names, from] = /^import \{([^}]*)\} from '([^']+)'/.exec(text) ?? []
    const [, one, several] = /^(?:export )?(?:const|let|(?:async )?function\*?) *(?:([\w$]+)|[[{]([^\]}]*)[\]}])/.exec(text) ?? []
    if (names !== undefined) {
      for (const [local, name] of namesOf(names, ' as ')) if (from!.startsWith('./')) imports.set(local, { file: from!.slice(2), name })
    } else if (one || several) {
      statements.push({ text, declares: one ? [one] : namesOf(several!, ':').map(([local]) => local) })
    } else {
      throw new Error(`A statement of projections/${file} is not of the form that the lock knows: ${text.slice(0, 80)}`)
    }
  }
  parsed.set(text, { statements, imports })
  return { statements, imports }
}

/** `a, b as c` → a of a, c of b */
const namesOf = (list: string, as: string): [local: string, name: string][] =>
  list
    .split(',')
    .map((item) => item.split(as).map((word) => word.trim()))
    .filter(([name]) => name !== '')
    .map(([name, local]) => [local ?? name!, name!])

/**
 * What has to be done before the projections may be committed, a sentence each; none where the lock says what they are.
 * @param sameRows whoever changed them says that every row stays as it was
 */
export function faultsOf(locked: Lock, now: Lock, { sameRows = false } = {}): string[] {
  const changed = Object.keys(now).filter((name) => locked[name] && now[name]!.hash !== locked[name].hash)
  return [
    ...changed
      .filter((name) => now[name]!.version === locked[name]!.version && !sameRows)
      .map(
        (name) =>
          `The projection ${name} has changed without a new version: tables that are there already would keep the rows of before. ` +
          'Raise its version and run `npm run lock`; or, if every row stays the same, run `npm run lock -- --same-rows`.',
      ),
    ...Object.keys(now)
      .filter((name) => locked[name] && now[name]!.version < locked[name].version)
      .map(
        (name) => `The version of the projection ${name} went back from ${locked[name]!.version}: give it a greater one than ever before.`,
      ),
  ]
}

/** As the lock is kept. */
export const textOf = (lock: Lock): string => `${JSON.stringify(lock, null, 2)}\n`
