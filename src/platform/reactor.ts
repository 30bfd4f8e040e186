import type { AnyEventType } from '../../schema/define.ts'
import { type Pool, sql } from './database.ts'
import type { RecordedEvent } from './event.ts'
import { createFollower, type Follower, type FollowerOptions } from './follower.ts'
import type { NewJob } from './jobs.ts'
import type { Jobs } from './jobs-queue.ts'
import { comparePositions, type Position, START } from './position.ts'
import { uuidv5 } from './uuid.ts'

/** A job as a reactor asks for it. The data is stored in the clear: ids, never what a person could be known by. */
export type Asked = Pick<NewJob, 'queue' | 'key' | 'data'>

/** Turns events into jobs and touches nothing else. */
export type Reactor = {
  /** For ever: which jobs it has enqueued is known by it. */
  readonly name: string
  readonly eventTypes: ReadonlySet<string>
  react(event: RecordedEvent): readonly Asked[]
}

type EventTypes = Record<string, AnyEventType>
type Handlers<E extends EventTypes> = { [N in keyof E]?: (data: ReturnType<E[N]>['data'], event: RecordedEvent) => readonly Asked[] }

/**
 * Declares a reactor.
 * @param on one pure handler an event type that it follows; what it returns is enqueued exactly once
 */
export function reactor<const E extends EventTypes>({ name, on }: { name: string; events: E; on: Handlers<E> }): Reactor {
  const handlers = on as Record<string, ((data: unknown, event: RecordedEvent) => readonly Asked[]) | undefined>
  return {
    name,
    eventTypes: new Set(Object.keys(on)),
    react: (event) => handlers[event.type]?.(event.data, event) ?? [],
  }
}

/** All reactors have one checkpoint, and so one leader at a time. */
export const REACTORS = 'reactors'

/** Namespace of the ids of reactors' jobs (UUIDv5). For ever: what was enqueued already is recognised by it. */
const NAMESPACE = '5b9b0a3e-8a5b-4c39-9c7c-1f9b5a0e2d64'

export const reactorNames = (reactors: readonly Reactor[]): string[] => reactors.map(({ name }) => name).sort()

/** The condition of leading: these reactors and no others (see lease.ts). */
export const areBorn = (reactors: readonly Reactor[]) => sql.fragment`c.tables = ${sql.array(reactorNames(reactors), 'text')}`

/**
 * Makes the checkpoint and the birth of each reactor that is new: it acts from the end of the log on. Safe from many processes at once, and to repeat.
 *
 * Where the set of reactors is another than before (a new version, or an older one that was started again), whoever leads is fenced. Each keeps how far
 * it had come, so that one that comes back takes up what happened meanwhile, and none acts on an event twice.
 * @param end the position of the newest event, read now
 */
export async function bearReactors(pool: Pool, reactors: readonly Reactor[], end: () => Promise<Position | null>): Promise<void> {
  const names = reactorNames(reactors)
  const { commit, prepare } = (await end()) ?? START
  await pool.transaction(async (db) => {
    await db.rows(sql.unsafe`
      insert into smartcrm.checkpoints (name, commit_position, prepare_position) values (${REACTORS}, ${commit}, ${prepare}) on conflict do nothing`)
    const [row] = await db.rows<{ before: string[] }>(
      sql.unsafe`select tables as before from smartcrm.checkpoints where name = ${REACTORS} for update`,
    )
    const { before } = row!
    if (before.length === names.length && names.every((name) => before.includes(name))) return
    await db.rows(sql.unsafe`
      update smartcrm.reactors r set acts_after_commit = c.commit_position, acts_after_prepare = c.prepare_position
      from smartcrm.checkpoints c
      where c.name = ${REACTORS} and r.name = any(${sql.array(before, 'text')})
        and (c.commit_position, c.prepare_position) > (r.acts_after_commit, r.acts_after_prepare)`)
    await db.rows(sql.unsafe`
      insert into smartcrm.reactors (name, acts_after_commit, acts_after_prepare)
      select name, ${commit}, ${prepare} from unnest(${sql.array(names, 'text')}) as name on conflict do nothing`)
    await db.rows(sql.unsafe`
      update smartcrm.checkpoints c set tables = ${sql.array(names, 'text')}, epoch = epoch + 1, owner = null, lease_until = '-infinity',
        commit_position = least_of.commit, prepare_position = least_of.prepare
      from (
        select acts_after_commit as commit, acts_after_prepare as prepare from smartcrm.reactors where name = any(${sql.array(names, 'text')})
        order by 1, 2 limit 1) least_of
      where c.name = ${REACTORS}`)
  })
}

/** After which position each reactor acts. */
async function births(pool: Pool): Promise<Map<string, Position>> {
  const rows = await pool.rows<{ name: string; commit: string; prepare: string }>(
    sql.unsafe`select name, acts_after_commit::text as commit, acts_after_prepare::text as prepare from smartcrm.reactors`,
  )
  return new Map(rows.map(({ name, commit, prepare }) => [name, { commit: BigInt(commit), prepare: BigInt(prepare) }]))
}

export type ReactorsOptions = Pick<FollowerOptions<never>, 'pool' | 'log' | 'subscribe' | 'decode' | 'limits' | 'idleMs'> & {
  readonly reactors: readonly Reactor[]
  readonly jobs: Jobs
}

/** Follows the log and enqueues what the reactors ask for. The jobs and the checkpoint commit together, so each is enqueued exactly once. */
export function createReactors({ reactors, jobs, ...options }: ReactorsOptions): Follower {
  let born = new Map<string, Position>()
  const acts = ({ name }: Reactor, { position }: RecordedEvent) => {
    const from = born.get(name)
    return from !== undefined && comparePositions(position, from) > 0
  }
  const types = new Set(reactors.flatMap(({ eventTypes }) => [...eventTypes]))
  return createFollower<NewJob>({
    ...options,
    checkpoint: REACTORS,
    target: 'the reactors',
    concerns: (type) => types.has(type),
    async prepare() {
      // Whoever changes the births begins a new epoch, so these hold for as long as this one.
      born = await births(options.pool)
      await jobs.ready()
    },
    interpret(event) {
      if (event.erased) return []
      return reactors.flatMap((reactor) => (acts(reactor, event) ? jobsOf(reactor, event, jobs) : []))
    },
    apply: (db, asked) => (asked.length > 0 ? jobs.enqueue(db, asked) : Promise.resolve()),
  })
}

/** The id of the job that a reactor asked for by an event. @param index of the job among those that it asked for */
export const reactorJobId = (name: string, eventId: string, index = 0): string => uuidv5(JSON.stringify([name, eventId, index]), NAMESPACE)

function jobsOf(reactor: Reactor, event: RecordedEvent, jobs: Jobs): NewJob[] {
  return reactor.react(event).map((asked, index) => {
    jobs.check(asked)
    return {
      ...asked,
      id: reactorJobId(reactor.name, event.id, index),
      correlationId: event.meta.$correlationId,
      causationId: event.id,
      traceparent: event.meta.traceparent,
    }
  })
}
