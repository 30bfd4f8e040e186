import { readdir, readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import * as projectionLists from '../projections/index.ts'
import { allEvents, eventsByCategory } from '../schema/events.ts'
import { commands } from '../src/commands.ts'

/*
 * The rules of the house. Who breaks one learns here which, and where.
 */
const root = join(import.meta.dirname, '..')
const stations = ['schema', 'src', 'projections', 'test']

type Source = { path: string; text: string; code: string; imports: string[] }

const sources: Source[] = []
for (const station of stations) {
  for (const entry of await readdir(join(root, station), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(ts|tsx|js)$/.test(entry.name)) continue
    const path = join(entry.parentPath, entry.name).slice(root.length + 1)
    const text = await readFile(join(root, path), 'utf8')
    const code = withoutComments(text)
    sources.push({ path, text, code, imports: importsOf(path, code) })
  }
}

/** Comments become blanks; strings and templates stay. */
function withoutComments(text: string): string {
  const tokens = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|\/\/.*/g
  return text.replaceAll(tokens, (token) => (token.startsWith('/') ? ' ' : token))
}

/** What a file imports: its own house by path, the others by name. */
function importsOf(path: string, code: string): string[] {
  const found = [
    ...code.matchAll(/^(?:import|export)\s+(?:type\s+)?[\w$*{},\s]+?\s+from\s+['"]([^'"]+)['"]/gm),
    ...code.matchAll(/^import\s+['"]([^'"]+)['"]/gm),
    ...code.matchAll(/\b(?:import|require|import\.meta\.resolve)\(\s*['"]([^'"]+)['"]/g),
  ]
  return found.map(([, name]) => (name!.startsWith('.') ? normalize(join(dirname(path), name!)) : name!))
}

const under = (...folders: string[]) => sources.filter(({ path }) => folders.some((folder) => path.startsWith(`${folder}/`)))
const isOurs = (name: string) => stations.some((station) => name.startsWith(`${station}/`))
const at = (paths: readonly string[]) => new Set(paths)

/** Imports that a rule does not allow, as sentences. */
const broken = (files: readonly Source[], isAllowed: (name: string, path: string) => boolean) =>
  files.flatMap(({ path, imports }) => imports.filter((name) => !isAllowed(name, path)).map((name) => `${path} imports ${name}`))

const deciders = under('src').filter(({ path, code }) => !path.startsWith('src/platform/') && /= decider(<[^(]*>)?\(/.test(code))

t.test('imports point one way', async (t) => {
  t.ok(sources.length > 100 && sources.some(({ imports }) => imports.includes('src/platform/decider.ts')), 'imports are found')
  t.strictSame(
    broken(under('schema'), (name) => !isOurs(name) || name.startsWith('schema/')),
    [],
    'schema imports nothing of ours but schema',
  )
  t.ok(deciders.some(({ path }) => path === 'src/contacts/contact.ts'))
  const isNear = (name: string, path: string) => dirname(name) === dirname(path)
  const below = (name: string) => !isOurs(name) || name.startsWith('schema/') || name.startsWith('src/platform/')
  t.strictSame(
    broken(deciders, (name, path) => below(name) || isNear(name, path)),
    [],
    'a decider imports schema, platform and its own folder',
  )
  t.strictSame(
    broken(under('projections'), (name) => below(name) || name.startsWith('projections/')),
    [],
    'projections import schema and platform',
  )
  const shared = at(['define', 'shared', 'problem', 'heartbeat-events', 'job', 'access'].map((name) => `schema/${name}.ts`))
  t.strictSame(
    broken(under('src/platform'), (name) => !isOurs(name) || name.startsWith('src/platform/') || shared.has(name)),
    [],
    'the platform knows no CRM word: it imports no feature',
  )
  t.strictSame(
    broken(sources, (name) => !name.startsWith('/')),
    [],
    'nothing is imported by a path of one machine',
  )
  t.strictSame(
    broken(under('src', 'projections', 'schema'), (name) => !name.startsWith('test/')),
    [],
    'nothing imports a test',
  )
  t.strictSame(
    broken(
      under('src/eventstore'),
      (name) => !isOurs(name) || name.startsWith('src/eventstore/') || /^src\/platform\/(log|fault)\.ts$/.test(name),
    ),
    [],
    'the embedded node stands by itself',
  )
})

t.test('the event store’s client is used in one place', async (t) => {
  const client = '@eventstore/db-client'
  const users = under('src', 'projections', 'schema').filter(({ imports }) => imports.some((name) => name.startsWith(client)))
  t.strictSame(
    users.filter(({ path }) => !path.startsWith('src/eventstore/')).map(({ path }) => path),
    ['src/platform/append-call.ts', 'src/platform/event-store.ts'],
  )
  t.strictSame(
    broken(under('src/eventstore'), (name) => !name.startsWith(client) || name.includes('/generated/')),
    [],
    'the embedded node knows its protocol only',
  )
})

t.test('what makes traces is loaded only by who asks for them', async (t) => {
  const users = under('src', 'projections', 'schema').filter(({ imports }) =>
    imports.some((name) => name.startsWith('@opentelemetry/') && name !== '@opentelemetry/api'),
  )
  t.strictSame(
    users.map(({ path }) => path),
    ['src/platform/tracing-sdk.ts'],
  )
  const importers = sources.filter(({ imports }) => imports.includes('src/platform/tracing-sdk.ts'))
  t.strictSame(
    importers.map(({ path }) => path),
    ['src/roles/run-role.ts'],
  )
  t.notMatch(importers[0]?.code, /^import .*tracing-sdk/m, 'and not when the role begins')
})

t.test('only projections and platform write SQL', async (t) => {
  // The embedded node's SQLite is its own affair.
  const others = under('src', 'schema').filter(({ path }) => !/^src\/(platform|eventstore)\//.test(path))
  const writers = others.filter(({ code }) => /\bsql(\.\w+)?(<[^`]*>)?`|\.query\(|\.rows[<(]/.test(code))
  t.strictSame(
    writers.filter(({ code }) => !/\.rows\('\w+'\)/.test(code)).map(({ path }) => path),
    [],
  )
})

t.test('the list of commands is complete', async (t) => {
  const found = []
  for (const { path, code } of under('src')) {
    if (path === 'src/platform/decider.ts') continue
    for (const [, name] of code.matchAll(/export const (\w+) = command\(/g)) found.push([path, name!] as const)
  }
  t.ok(found.length >= 9)
  for (const [path, name] of found) {
    const module = await import(join(root, path))
    t.ok(commands.includes(module[name]), `${name} of ${path} is in src/commands.ts`)
  }
  t.equal(commands.length, found.length)
  t.equal(new Set(commands.map(({ operationId }) => operationId)).size, commands.length)
  t.equal(new Set(commands.map(({ method, path }) => `${method} ${path}`)).size, commands.length)
})

t.test('the lists of events are complete', async (t) => {
  const files = sources.filter(({ path }) => /^schema\/[^/]+-events\.ts$/.test(path))
  const declared: object[] = []
  for (const { path, code } of files) {
    const module = await import(join(root, path))
    for (const [, name] of code.matchAll(/export const (\w+) = events\(/g)) {
      declared.push(module[name!])
      t.ok(Object.values(eventsByCategory).includes(module[name!]), `${name} of ${path} is in schema/events.ts`)
    }
  }
  t.equal(Object.keys(eventsByCategory).length, declared.length)
  const types = declared.flatMap((events) => Object.keys(events))
  t.strictSame(types.toSorted(), Object.keys(allEvents).toSorted(), 'each under a name of its own')
})

t.test('the lists of projections and queries are complete', async (t) => {
  const { projections, queries } = projectionLists
  for (const { path, code } of under('projections')) {
    for (const [, name] of code.matchAll(/export const (\w+) = projection\(/g)) {
      const module = await import(join(root, path))
      t.ok(projections.includes(module[name!]), `${name} of ${path} is in projections/index.ts`)
    }
    for (const [, operationId] of code.matchAll(/operationId: '(\w+)'/g)) {
      t.ok(
        queries.some((query) => query.operationId === operationId),
        `${operationId} of ${path} is in projections/index.ts`,
      )
    }
  }
  t.equal(
    new Set(projections.flatMap(({ tables }) => Object.values(tables).map(({ name }) => name))).size,
    projections.flatMap(({ tables }) => Object.keys(tables)).length,
  )
})

t.test('decisions and projections are pure', async (t) => {
  const impure = /\bnew Date\(\)|\bDate\.now\(|\brandomUUID\b|\bMath\.random\(|\bperformance\.now\(|\bprocess\.|\bfetch\(/
  for (const { path, code } of [...deciders, ...under('projections', 'schema')]) t.notMatch(code, impure, path)
})

t.test('files are small, in erasable TypeScript, and export by name', async (t) => {
  // Longer than the rest for a reason.
  const long: Record<string, string> = {
    'src/platform/event-store.ts': 'hides all of the client’s sharp edges, so that nobody else sees one',
  }
  for (const { path, text, code } of under('src', 'schema', 'projections')) {
    const lines = text.split('\n').length - 1
    if (!path.includes('/generated/') && !long[path]) t.ok(lines <= 250, `${path} has ${lines} lines, of 250 at most`)
    t.notMatch(code, /\bexport default\b/, `${path} has no default export`)
    t.notMatch(code, /^\s*(export )?(declare )?(const )?enum\s/m, `${path} has no enum`)
    t.notMatch(code, /^export \*/m, `${path} is no barrel`)
    t.notMatch(code, /^\s*@\w+\(/m, `${path} has no decorator`)
  }
  for (const { path } of sources) t.match(path.split('/').at(-1), /^[a-z0-9]+([.-][a-z0-9]+)*$/, `${path} is in kebab-case`)
})

t.test('the top level holds what it is to hold', async (t) => {
  const fixed = at(['src', 'projections', 'schema', 'test', 'docker-compose.yml', 'package.json', 'tsconfig.json', 'README.md'])
  const allowed = at(['package-lock.json', 'Dockerfile', 'LICENSE', 'CHANGELOG.md', 'ARCHITECTURE.md', 'node_modules', 'data', 'dist'])
  const there = await readdir(root)
  t.strictSame(
    there.filter((name) => !fixed.has(name) && !allowed.has(name) && !name.startsWith('.')),
    [],
  )
  for (const name of fixed) t.ok(there.includes(name), name)
})

t.test('every dependency is used, and pinned to one version', async (t) => {
  const { dependencies, devDependencies, scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const packageOf = (name: string) =>
    name
      .split('/')
      .slice(0, name.startsWith('@') ? 2 : 1)
      .join('/')
  const used = (files: readonly Source[]) =>
    new Set(
      files.flatMap(({ imports }) => imports.filter((name) => !isOurs(name) && !isBuiltin(name) && !name.startsWith('/')).map(packageOf)),
    )
  const atRun = used(under('src', 'projections', 'schema'))
  const inTests = used(under('test'))
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
    t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${name} ${version}`)
  // The Node that the scripts run on.
  for (const name of Object.keys(dependencies)) t.ok(atRun.has(name) || name === 'node', `${name} is used`)
  const text = JSON.stringify(scripts)
  const programs: Record<string, string> = { '@biomejs/biome': 'biome', typescript: 'tsc' }
  for (const name of Object.keys(devDependencies)) {
    const described =
      name.startsWith('@types/') && [name.slice(7), 'node'].some((described) => atRun.has(described) || described === 'node')
    t.ok(described || inTests.has(name) || (programs[name] && text.includes(programs[name])), `${name} is used`)
  }
  for (const name of atRun) t.ok(dependencies[name], `${name} is a dependency`)
  for (const name of inTests) t.ok(dependencies[name] ?? devDependencies[name], `${name} is a dependency, of tests at least`)
})
