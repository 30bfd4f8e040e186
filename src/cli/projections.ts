import { setTimeout as delay } from 'node:timers/promises'
import { MultiBar, type SingleBar } from 'cli-progress'
import type { Command, CommanderError } from 'commander'
import type { ParkedEvent, ProjectionStatus, Replayed } from '../../schema/projection.ts'
import type { VerifyResult } from '../../schema/verification.ts'
import type { Config } from '../config.ts'
import { inWords } from '../platform/projections/difference.ts'
import { untilDone } from './job.ts'
import { type Asking, asker } from './service.ts'
import { tell } from './tell.ts'

/** Exit codes: done; a projection halted, or something stays parked; the call was wrong or could not be carried out. */
const EXIT = { done: 0, left: 1, wrongCall: 2 }
const LOOK_MS = 500

type Told = { text: string; data: unknown; code?: number }

/** Adds `projections` and what is done with them. They ask the service, over HTTP. */
export function projectionCommands(program: Command, config: () => Config): void {
  const asExitCode = (error: CommanderError) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.wrongCall)
  const group = program.command('projections').description('the read models: how far they are, and a hand in it').exitOverride(asExitCode)

  const add = (words: string, description: string, carryOut: (ask: Asking, names: string[], options: Options) => Promise<Told>) =>
    group
      .command(words)
      .description(description)
      .option('--json', 'print the outcome as JSON, and nothing else')
      .exitOverride(asExitCode)
      .action(async (...args: unknown[]) => {
        const options = args.at(-2) as Options
        const names = args.slice(0, -2).flat() as string[]
        process.exitCode = await tell(options.json ?? false, EXIT.wrongCall, async () => ({
          code: EXIT.done,
          ...(await carryOut(asker(config), names, options)),
        }))
      })

  group.action(async () => {
    await group.commands[0]!.parseAsync([], { from: 'user' })
  })
  add('list', 'name, version, state, position, lag, parked, speed', async (ask) => {
    const { data } = await ask<{ data: ProjectionStatus[] }>('GET', path())
    return { text: table(data), data }
  })
  add(
    'rebuild [name...]',
    'build tables anew from the whole log beside those that answer, and switch to them; all unless named',
    async (ask, names, options) => {
      const { park = false, prove = false } = options
      await ask('POST', path('rebuild'), { ...(names.length > 0 && { names }), park, ...(prove && { prove }) })
      return options.wait === false ? { text: 'It has begun.', data: {} } : untilBuilt(ask, names, options)
    },
  )
    .option('--park', 'park events that cannot be applied, instead of halting there')
    .option('--prove', 'before the switch compare every row with what the log makes a second time')
    .option('--no-wait', 'do not wait for its end')
  add(
    'verify [name...]',
    'compare every row with what the log makes anew, while everything goes on; all unless named',
    async (ask, names, { json }) => {
      const body = names.length > 0 ? { names } : {}
      const result = await untilDone<VerifyResult>(ask, '/v1/admin/verify', body, json ?? false)
      const { position, rows, differences } = result
      const said = differences.length === 0 ? 'all are what the log makes' : `${differences.length} tables differ`
      const text = [...differences.map(inWords), `Compared ${rows} rows at ${position}: ${said}.`].join('\n')
      return { text, data: result, code: differences.length > 0 ? EXIT.left : EXIT.done }
    },
  )
  for (const action of ['pause', 'resume', 'rollback'] as const) {
    const what = {
      pause: 'stop it where it is; it goes on answering',
      resume: 'let it go on when it is paused or halted',
      rollback: 'go back to the tables that the last switch replaced',
    }[action]
    add(`${action} <name>`, what, async (ask, [name]) => {
      const data = await ask<ProjectionStatus>('POST', path(name!, action))
      return { text: table([data]), data }
    })
  }
  add('parked <name>', 'the events that it could not apply, and those that wait behind them', async (ask, [name]) => {
    const { data } = await ask<{ data: (typeof ParkedEvent)['static'][] }>('GET', path(name!, 'parked'))
    const lines = data.map(
      ({ stream, revision, type, error }) => `${stream} ${revision} ${type}: ${error ?? 'waits behind one that is parked'}`,
    )
    return { text: lines.join('\n') || 'Nothing is parked.', data, code: data.length > 0 ? EXIT.left : EXIT.done }
  })
  add('replay <name>', 'apply what is parked again, in its order', async (ask, [name]) => {
    const data = await ask<(typeof Replayed)['static']>('POST', path(name!, 'replay'))
    const left = data.left.map(({ error }) => error)
    return {
      text: [...left, `${data.replayed} events are in the tables now; ${left.length} streams stay parked.`].join('\n'),
      data,
      code: left.length > 0 ? EXIT.left : EXIT.done,
    }
  })
}

type Options = { json?: boolean; park?: boolean; prove?: boolean; wait?: boolean; with?: string }

const path = (...parts: string[]) => ['/v1/admin/projections', ...parts.map(encodeURIComponent)].join('/')

/** Shows a bar a projection on a terminal, until none is being built any more. */
async function untilBuilt(ask: Asking, names: readonly string[], { json = false }: Options): Promise<Told> {
  const bars =
    process.stderr.isTTY && !json
      ? new MultiBar({ format: '{name} [{bar}] {percentage} % {state} {left}', clearOnComplete: true, stream: process.stderr })
      : null
  const shown = new Map<string, SingleBar>()
  try {
    for (;;) {
      const { data } = await ask<{ data: ProjectionStatus[] }>('GET', path())
      const asked = data.filter(({ name }) => names.length === 0 || names.includes(name))
      for (const { name, building } of asked) {
        const bar = shown.get(name) ?? bars?.create(100, 0, { name, state: '', left: '' })
        if (bar) shown.set(name, bar)
        bar?.update(Math.floor(100 * (building ? (building.progress ?? 0) : 1)), {
          name: name.padEnd(16),
          state: building?.state ?? 'live',
          left: building?.secondsLeft ? `${Math.ceil(building.secondsLeft)} s left` : '',
        })
      }
      const halted = asked.filter(({ building }) => building?.state === 'halted' || building?.state === 'paused')
      if (asked.every(({ building }) => building === null || halted.some((other) => other.building === building)))
        return { text: table(asked), data: asked, code: halted.length > 0 ? EXIT.left : EXIT.done }
      await delay(LOOK_MS)
    }
  } finally {
    bars?.stop()
  }
}

/** One line a projection, and one for what is being built of it. */
function table(projections: readonly ProjectionStatus[]): string {
  const rows = projections.flatMap(({ name, answering, building, kept }) => [
    ...(answering ? [row(name, answering)] : []),
    ...(building
      ? [
          row(
            `${answering ? '  ' : ''}${name}`,
            building,
            building.progress === null ? '' : `${Math.floor(100 * building.progress)} % built`,
          ),
        ]
      : []),
    ...(kept ? [[`  ${name}`, `v${kept.version}`, 'kept', kept.position, '', '', '', '']] : []),
  ])
  const all = [['NAME', 'VERSION', 'STATE', 'POSITION', 'LAG', 'PARKED', 'SPEED', ''], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)))
  const reasons = projections.flatMap(({ name, answering, building }) =>
    [answering, building].flatMap((one) => [one?.reason, one?.trouble].flatMap((text) => (text ? [`${name}: ${text}`] : []))),
  )
  return [
    ...all.map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    ),
    ...reasons,
  ].join('\n')
}

function row(name: string, one: NonNullable<ProjectionStatus['answering']>, note = ''): string[] {
  const lag = one.lagSeconds === null ? 'unknown' : `${one.lagSeconds.toFixed(1)} s`
  const parked = one.parked.events === 0 ? '0' : `${one.parked.events} of ${one.parked.streams} streams`
  return [name, `v${one.version}`, one.state, one.position, lag, parked, `${Math.round(one.eventsPerSecond)}/s`, note]
}
