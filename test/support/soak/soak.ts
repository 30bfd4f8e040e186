import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { projections } from '../../../projections/index.ts'
import { readConfig } from '../../../src/config.ts'
import { openPool, sql } from '../../../src/platform/database.ts'
import { createLogger } from '../../../src/platform/log.ts'
import { migrate } from '../../../src/platform/migrate.ts'
import { formatPosition } from '../../../src/platform/position.ts'
import { openServices } from '../../../src/services.ts'
import { tablesEqualLog } from '../tables-equal-log.ts'
import { createBook } from './book.ts'
import { createChaos, type Mix } from './chaos.ts'
import { createClient } from './client.ts'
import { startCluster } from './cluster.ts'
import { createCommands } from './commands.ts'
import { createFaults } from './faults.ts'
import { createHeal } from './heal.ts'
import { startImports } from './imports.ts'
import { startLoad } from './load.ts'
import { checkCommands, checkJournal, checkOwners, checkStreams, readLog } from './log-checks.ts'
import { createRandom } from './random.ts'
import { followJournal, startReaders } from './readers.ts'

export type Settings = {
  readonly seed: number
  /** Commands a second. */
  readonly rate: number
  readonly mix: Mix
  /** How long it goes on: so many blows, or so much time. */
  readonly extent: { readonly rounds: number } | { readonly seconds: number }
  /** Within what time, after the last blow, everything has to be as it should. */
  readonly healSeconds: number
  /**
   * Within what time, when all is well again, another projector has to have taken over from one that is killed, and shown a new contact.
   * Left out: the leader is killed last of all, and taking over is a part of healing.
   */
  readonly takeoverSeconds?: number
  readonly importEveryMs: number
  /** Whether the folder stays also when nothing is wrong. */
  readonly keep?: boolean
  readonly processes?: { readonly apis: number; readonly projectors: number; readonly workers: number }
  say(line: string): void
}

export type Report = { faults: string[]; figures: Record<string, unknown> }

const log = createLogger('error', 'soak')

/**
 * Runs the service as processes under a load of commands and queries while random blows fall on all of them, lets it heal, and holds what is there then to
 * what was acknowledged: no false success, nothing lost or double, nobody who follows the log left behind, and the read tables equal to the log.
 */
export async function soak(settings: Settings): Promise<Report> {
  const { seed, rate, mix, extent, healSeconds, takeoverSeconds, importEveryMs, processes, keep = false, say } = settings
  const startedAt = performance.now()
  const tell = (line: string) => say(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${line}`)
  const faults = createFaults()
  const folder = await mkdtemp(join(tmpdir(), 'smartcrm-soak-'))
  // Where Postgres's user may go.
  await chmod(folder, 0o755)
  tell(`seed ${seed}, in ${folder}`)

  const cluster = await startCluster({ folder, ...processes })
  try {
    const run = `s${seed}`
    const client = createClient(cluster.apis, createRandom(seed + 1), faults)
    const drawing = createRandom(seed + 2)
    const book = createBook(drawing, run)
    const commands = createCommands(book, drawing)
    const heal = createHeal(cluster, client, faults, tell)
    await heal.ready(30_000)
    const followers = cluster.apis.map((url) => followJournal(url, faults))
    const load = startLoad(commands, client, faults, rate)
    const readers = startReaders(cluster.apis.length, book, client, createRandom(seed + 3), faults)
    const imports = startImports(client, faults, run, importEveryMs)
    const chaos = createChaos(cluster, createRandom(seed + 4), mix, (line) =>
      tell(`${line.padEnd(32)} ${load.sent.length - load.waiting()} answered, ${load.waiting()} waiting, ${faults.count()} faults`),
    )
    const loadedAt = performance.now()
    if ('rounds' in extent) await chaos.rounds(extent.rounds)
    else await chaos.during(extent.seconds * 1000)
    const loadedSeconds = (performance.now() - loadedAt) / 1000

    if (takeoverSeconds === undefined) await cluster.leader().kill('SIGKILL')
    chaos.calm()
    imports.stop()
    tell('calm')
    const calmAt = performance.now()
    const leftMs = () => Math.max(1_000, healSeconds * 1000 - (performance.now() - calmAt))
    const unanswered = await load.stop(leftMs())
    if (unanswered > 0) faults.add('commands that are never answered', `${unanswered} of ${load.sent.length}`)
    await readers.stop()
    await heal.ready(leftMs())
    await heal.visible(leftMs())
    const healedSeconds = (performance.now() - calmAt) / 1000
    tell(`healed after ${healedSeconds.toFixed(1)} s`)
    const takenOverSeconds = takeoverSeconds === undefined ? undefined : await heal.takeover(takeoverSeconds * 1000)
    // A job that was lost in the last moment is first missed, and then begins with the rest of its pauses.
    await imports.finish(healSeconds * 1000)
    await heal.repeats(load.sent, createRandom(seed + 5))
    await heal.listed(book.entries)

    const config = {
      ...readConfig({ SMARTCRM_DATA: join(folder, 'data') }),
      databaseUrl: cluster.databaseUrl,
      eventStoreUrl: cluster.eventStoreUrl,
    }
    const services = await openServices(config, log)
    try {
      const events = await readLog(services.store, services.codec)
      tell(`${events.length} events in the log`)
      checkStreams(events, faults)
      checkOwners(events, faults)
      checkCommands(events, load.sent, heal.asked, faults)
      imports.check(events)
      for (const { address, won, lost } of commands.races)
        if (won > 1 || (won === 0 && lost > 1)) faults.add('a race without one winner', `${address}: ${won} won, ${lost} lost`)
      const last = formatPosition(events.findLast(({ type }) => type !== 'HeartbeatRecorded')!.position)
      for (const [index, follower] of followers.entries()) {
        const end = performance.now() + leftMs()
        while (follower.positions.at(-1) !== last && performance.now() < end) await delay(100)
        checkJournal(`API ${index + 1}`, events, follower.positions, faults)
        follower.close()
      }
      const scratch = await emptyDatabase(cluster.databaseUrl)
      const { rows, differences } = await tablesEqualLog({ live: services.pool, scratch, projections, events, log })
      await scratch.close()
      for (const difference of differences) faults.add('tables that are not the log', difference)
      const figures = {
        commands: load.sent.length,
        acknowledged: load.sent.filter(({ made }) => made).length,
        refused: load.sent.filter(({ answer }) => answer && answer.status >= 400).length,
        sentAgain: load.sent.filter(({ tries }) => tries > 1).length,
        commandsPerSecond: Math.round(load.sent.length / loadedSeconds),
        leftOut: load.leftOut(),
        tries: client.tries,
        queries: readers.counts(),
        imports: imports.count(),
        connectionsOfJournals: followers.map((follower) => follower.connections()),
        events: events.length,
        blows: chaos.blows(),
        restarts: cluster.restarts(),
        healedSeconds: Math.round(healedSeconds * 10) / 10,
        takenOverSeconds: takenOverSeconds && Math.round(takenOverSeconds * 10) / 10,
        rows,
      }
      return { faults: faults.lines(), figures }
    } finally {
      await services.close()
    }
  } finally {
    await cluster.close()
    if (faults.count() === 0 && !keep) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    else tell(`what the processes said is in ${join(folder, 'logs')}`)
  }
}

/** A database beside the service's own, with the private tables in it. */
export async function emptyDatabase(url: string) {
  const own = openPool(url, log, 1)
  await own.rows(sql.unsafe`create database scratch`)
  await own.close()
  const there = new URL(url)
  there.pathname = '/scratch'
  await migrate(there.href, log)
  return openPool(there.href, log, 2)
}
