import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startEventStore } from '../src/eventstore/server.ts'
import { createLogger } from '../src/platform/log.ts'
import { run as runWorker } from '../src/roles/worker.ts'
import { settings } from '../src/settings.ts'
import { adminKey, testApi } from './support/api.ts'

const root = new URL('..', import.meta.url).pathname
const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')

/** The README's fenced blocks of a kind, e.g. `sh session`, in order. */
const blocks = [...readme.matchAll(/^```(\w+ (?:session|answer))\n([\s\S]*?)^```$/gm)].map(([, kind, text]) => ({
  kind: kind!,
  text: text!,
}))
const hasCurl = spawnSync('curl', ['--version']).status === 0

t.test('the first session of the README goes as it says', { skip: hasCurl ? false : 'there is no curl on this machine' }, async (t) => {
  const api = await testApi(t)
  t.teardown((await runWorker(api.config, createLogger('silent', 'worker'))).close)
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-readme-'))
  const node = await startEventStore({ file: join(folder, 'data', 'eventstore', 'events.db'), systemEvents: true })
  t.teardown(async () => {
    await node.close()
    await rm(folder, { recursive: true })
  })
  for (const [index, { kind, text }] of blocks.entries()) {
    if (kind !== 'sh session') continue
    const answer = blocks[index + 1]
    t.ok(answer?.kind.endsWith('answer'), 'a command is followed by its answer')
    const script = text
      .replaceAll('http://localhost:3000', api.url)
      .replaceAll('npx smartcrm', `${join(root, 'node_modules/.bin/node')} ${join(root, 'src/main.ts')}`)
    const printed = await shell(script, folder, { KEY: adminKey, SMARTCRM_URL: api.url })
    const pattern = patternOf(answer!.text, answer!.kind.startsWith('json'))
    const said = answer!.kind.startsWith('json') ? withoutSpace(printed) : printed.replaceAll('\r', '')
    t.match(said, pattern, `the answer to: ${text.split('\n')[0]}`)
  }
})

t.test('the README lists the settings as they are', (t) => {
  const rows = Object.values(settings).map(
    ({ name, default: fallback, description }) => `| \`${name}\` | ${fallback === undefined ? '' : `\`${fallback}\``} | ${description} |`,
  )
  const table = ['| setting | unless set | what it is |', '| --- | --- | --- |', ...rows].join('\n')
  const there = readme.slice(readme.indexOf('<!-- settings -->') + 17, readme.indexOf('<!-- /settings -->')).trim()
  t.equal(there, table, 'put this between the markers in README.md')
  t.end()
})

t.test('the README and ARCHITECTURE.md name only places that are there', async (t) => {
  const architecture = await readFile(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8')
  const named = new Set([...(readme + architecture).matchAll(/`((?:src|schema|projections|test)\/[\w./-]*)`/g)].map(([, path]) => path!))
  for (const path of named) t.equal(spawnSync('test', ['-e', join(root, path)]).status, 0, `${path} is there`)
  t.ok(named.size > 10)
})

/** `…` stands for anything. In JSON, white space between tokens does not count. */
function patternOf(text: string, isJson: boolean): RegExp {
  const parts = (isJson ? withoutSpace(text) : text.trim()).split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('[\\s\\S]*?')}\\s*$`, 'm')
}

const withoutSpace = (text: string) => text.replace(/\n\s*/g, '').trim()

function shell(script: string, cwd: string, env: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-e', '-c', script], { cwd, env: { ...process.env, ...env, NO_COLOR: '1' } })
    let printed = ''
    child.stdout.on('data', (chunk) => (printed += chunk))
    child.stderr.on('data', (chunk) => (printed += chunk))
    child.on('error', reject)
    child.on('close', () => resolve(printed))
  })
}
