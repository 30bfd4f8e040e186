import type { Client } from 'pg'
import { statement } from './statement.ts'

const MAY_NOT = '42501'
/** Their order is that of what was written to them, whatever the timeline (the first eight digits). */
const orderOf = (segment: string) => segment.slice(8)

/**
 * Sees to it that what the write-ahead log said until now is gone from the disk: goes on in a new segment, and has what came before taken away. Segments that
 * Postgres kept for use in the future hold old content too, so it goes on beyond those as well.
 * @returns sentences for what could not be made sure of
 */
export async function turnWriteAheadLog(client: Client): Promise<string[]> {
  try {
    const before = await segments(client)
    // With recycling on, the first checkpoint gives old segments new names, and only the second round writes over them.
    const rounds = (await setting(client, 'wal_recycle')) === 'on' ? 2 : 1
    for (let round = 1; round <= rounds; round += 1) await goBeyond(client, await segments(client))
    const last = before.at(-1)!
    const kept = (await segments(client)).filter((segment) => orderOf(segment) <= orderOf(last))
    return [...(kept.length > 0 ? [await whyKept(client, kept.length)] : []), ...(await copies(client)), ...(await serverLog(client))]
  } catch (error) {
    if ((error as { code?: string }).code !== MAY_NOT) throw error
    return [
      'The write-ahead log still says what was deleted, since this role may not go on to a new segment (it takes a superuser, or pg_switch_wal, pg_ls_waldir and ' +
        'the role pg_checkpoint): it is gone when Postgres has written over it, or when its backups and archives have expired.',
      ...(await copies(client)),
      ...(await serverLog(client)),
    ]
  }
}

const segments = async (client: Client): Promise<string[]> => {
  const rows = await statement<{ name: string }>(client, `select name from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'`)
  return rows.map(({ name }) => name).sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))
}

/** Switches until what is written goes to a segment beyond all of these, each of which is then written over to its end; then has them taken away. */
async function goBeyond(client: Client, known: readonly string[]): Promise<void> {
  for (let tries = 0; tries < known.length + 5; tries += 1) {
    // A segment that nothing was written to is not switched from.
    await statement(client, `select pg_logical_emit_message(false, 'smartcrm', '')`)
    await statement(client, 'select pg_switch_wal()')
    await statement(client, `select pg_logical_emit_message(false, 'smartcrm', '')`)
    const [now] = await statement<{ segment: string }>(client, 'select pg_walfile_name(pg_current_wal_insert_lsn()) as segment')
    if (orderOf(now!.segment) > orderOf(known.at(-1)!)) break
  }
  await statement(client, 'checkpoint')
}

const setting = async (client: Client, name: string): Promise<string | null> =>
  (await statement<{ value: string | null }>(client, 'select current_setting($1, true) as value', [name]))[0]!.value

async function whyKept(client: Client, count: number): Promise<string> {
  const slots = await statement<{ slot_name: string }>(client, 'select slot_name from pg_replication_slots where restart_lsn is not null')
  const why = [
    ...slots.map(({ slot_name }) => `the replication slot ${slot_name}`),
    ...((await setting(client, 'wal_keep_size')) === '0' ? [] : ['wal_keep_size']),
    ...((await setting(client, 'archive_mode')) === 'off' ? [] : ['archiving that is behind']),
  ]
  return `${count} segments of the write-ahead log still say what was deleted${why.length > 0 ? `: they are kept for ${why.join(' and ')}` : ''}.`
}

/** Where else Postgres sends its write-ahead log. */
async function copies(client: Client): Promise<string[]> {
  const [archive, standbys] = [await setting(client, 'archive_mode'), await statement(client, 'select 1 from pg_stat_replication')]
  return [
    ...(archive === 'off' || archive === null
      ? []
      : ['The write-ahead log is archived: what was deleted is in the archive until that has expired.']),
    ...(standbys.length > 0 ? ['There are standbys: they follow, and their own write-ahead logs are theirs to take away.'] : []),
  ]
}

/** Whether Postgres writes what statements say into its own log. */
async function serverLog(client: Client): Promise<string[]> {
  const [statements, slow, level] = [
    await setting(client, 'log_statement'),
    await setting(client, 'log_min_duration_statement'),
    await setting(client, 'log_min_messages'),
  ]
  const says = [
    ...(statements === 'mod' || statements === 'all' ? [`log_statement is ${statements}`] : []),
    ...(slow === '-1' ? [] : ['log_min_duration_statement is set']),
    ...(/^(log|fatal|panic)$/.test(level ?? '') ? [] : [`log_min_messages is ${level}, so errors quote rows`]),
  ]
  return says.length === 0 ? [] : [`Postgres's own log may say what was deleted (${says.join('; ')}): it is not ours to clear.`]
}
