/**
 * The service beside peers that do the same in the simplest good way. Rows: (a) commands, (b) queries, (c) a day's mix, (d) command to visible, (e) all
 * tables from a log, (f) append and project, (g) answers that are kept; and what limits each: BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=FOLDER' adds a
 * profile of every process. Arguments, with what they are unless given: rows=abcdefg contacts=20000 seconds=10 rounds=3 callers=16
 * appends=10000 events=1000000 rebuilds=2 cache=FOLDER (where the log of (e) is kept from one run to the next).
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AppendSizes, measureAppends } from './service/append.ts'
import { type HttpSizes, measureHttp } from './service/http.ts'
import { peakMegabytes, postmasterIn, type Stack, startSystem } from './service/processes.ts'
import { measureRebuild, type RebuildSizes } from './service/rebuild.ts'
import { costTable, type Row } from './service/rows.ts'

export type Sizes = HttpSizes & AppendSizes & RebuildSizes & { readonly rows: string }

export const sizes: Sizes = {
  rows: 'abcdefg',
  contacts: 20_000,
  seconds: 10,
  rounds: 3,
  callers: 16,
  appends: 10_000,
  events: 1_000_000,
  rebuilds: 2,
  timeoutSeconds: 1_200,
  cache: join(tmpdir(), 'smartcrm-bench'),
}

export async function measure(sizes: Sizes): Promise<Row[]> {
  const { rows } = sizes
  return [
    ...(/[abcdfg]/.test(rows) ? await withSystem(sizes) : []),
    ...(rows.includes('e') ? [await withStack((stack) => measureRebuild(stack, sizes))] : []),
  ]
}

/** All but (e) on one SmartCRM in a folder of its own. */
const withSystem = (sizes: Sizes): Promise<Row[]> =>
  withStack(async (stack) => {
    const folder = await mkdtemp(join(tmpdir(), 'smartcrm-bench-'))
    stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
    await chmod(folder, 0o755)
    const system = await startSystem(stack, join(folder, 'data'))
    const postmaster = await postmasterIn(system.folder)
    const measured = /[abcdg]/.test(sizes.rows) ? await measureHttp(stack, system, postmaster, sizes, sizes.rows) : []
    if (sizes.rows.includes('f')) measured.push(...(await measureAppends(stack, system, sizes)))
    const roles = await Promise.all(
      ['api', 'projector', 'worker', 'eventstore'].map(async (role) => [role, await peakMegabytes(await system.pid(role))]),
    )
    const memory = Object.fromEntries(roles) as Record<string, number>
    const what = Object.entries(memory).map(([role, megabytes]) => `${role} ${megabytes}`)
    measured.push({
      row: '',
      what: 'most memory, MB',
      smartcrm: what.join(', '),
      peer: '',
      ratio: null,
      target: 'projector < 400',
      numbers: memory,
    })
    return measured
  })

async function withStack<T>(work: (stack: Stack) => Promise<T>): Promise<T> {
  const ends: (() => unknown)[] = []
  try {
    return await work({ defer: (end) => void ends.unshift(end) })
  } finally {
    for (const end of ends) await end()
  }
}

if (import.meta.main) {
  const given = Object.fromEntries(process.argv.slice(2).map((argument) => argument.split('=') as [keyof Sizes, string]))
  const unknown = Object.keys(given).filter((name) => !(name in sizes))
  if (unknown.length > 0) throw new Error(`There is no ${unknown.join(', ')}. There are: ${Object.keys(sizes).join(', ')}.`)
  const chosen = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, typeof sizes[name as keyof Sizes] === 'number' ? Number(value) : value]),
  )
  const all = { ...sizes, ...chosen }
  const measured = await measure(all)
  const table = measured.map(({ row, what, ratio, cost: _cost, numbers: _numbers, ...columns }) => ({
    '': `${row} ${what}`,
    ...columns,
    ratio: ratio?.toFixed(2) ?? '',
  }))
  console.table(Object.fromEntries(table.map(({ '': what, ...columns }) => [what, columns])))
  console.log('What limits them, where the processors are busy: the processor time of each, by process')
  console.table(costTable(measured, availableParallelism()))
  const about = { bench: 'service', at: new Date().toISOString(), node: process.version, cores: availableParallelism(), sizes: all }
  if (process.env['BENCH_OUT']) await writeFile(process.env['BENCH_OUT'], `${JSON.stringify({ ...about, rows: measured }, null, 2)}\n`)
}
