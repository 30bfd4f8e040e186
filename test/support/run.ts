import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { compileCache } from '../../src/role-processes.ts'
import { countTests } from './count-tests.ts'
import { writeGroups } from './groups.ts'
import { startThrowAwayPostgres } from './throw-away-postgres.ts'

/*
 * `npm test`: runs tap with one Postgres for all files; each takes databases of its own from it (see postgres.ts).
 * Arguments go to tap: `npm test -- test/config.test.ts --reporter=base`. Where they name no files, all are run, those of a folder in one process.
 */
const given = process.argv.slice(2)
const args = given.some((argument) => argument.endsWith('.ts')) ? given : [...given, ...(await writeGroups())]
const folder = await mkdtemp(join(tmpdir(), 'smartcrm-run-'))
const output = join(folder, 'output.tap')
const programs = join(import.meta.dirname, '../../node_modules/.bin')
const postgres = await startThrowAwayPostgres()

// Off a terminal tap writes TAP, and would write it twice if it were to go to a file as well.
const isTap = !process.stdout.isTTY && !args.some((argument) => /^(--reporter|-R)/.test(argument))
const tap = spawn('tap', ['run', ...(isTap ? [] : [`--output-file=${output}`]), ...args], {
  env: {
    ...process.env,
    TEST_DATABASE_URL: postgres.url,
    // Each file is a process, and they read much the same code.
    NODE_COMPILE_CACHE: compileCache,
    // Before anything of tap is loaded, which a node-arg in .taprc would not be.
    NODE_OPTIONS: [process.env['NODE_OPTIONS'], `--import=${new URL('one-domain.ts', import.meta.url)}`].filter(Boolean).join(' '),
    // The Node that comes with the project, also when another one runs this.
    PATH: `${programs}${delimiter}${process.env['PATH']}`,
  },
  stdio: ['inherit', isTap ? 'pipe' : 'inherit', 'inherit'],
})
let text = ''
tap.stdout?.setEncoding('utf8').on('data', (part: string) => {
  text += part
  process.stdout.write(part)
})
// A terminal's Ctrl-C reaches tap by itself; here it only must not end us before what is below.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => tap.kill(signal))
const [code] = await once(tap, 'close')

await postgres.close()
if (!isTap) text = await readFile(output, 'utf8').catch(() => '')
await rm(folder, { recursive: true })

const { passed, failed, skipped, failures } = countTests(text)
console.log(failures.map((failure) => `\nfailed: ${failure}`).join(''))
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exitCode = code ?? 1
