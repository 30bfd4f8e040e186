import type { Check, Note } from '../http/health.ts'
import type { Projection } from '../projection.ts'
import type { PositionProgress, Progress, ProjectionProgress } from './progress.ts'

/** Something to be said of a projection. Where it stops, it is a reason to turn requests away. */
type Finding = { readonly name: string; readonly what: string; readonly stops: boolean }

/** A position that stands still for longer while the log goes on is stuck, in seconds: three heartbeats. */
const STILL_SECONDS = 30

/**
 * What /readyz asks of the read tables and of those who follow the log. Unready is what nobody wants and what does not end by itself: tables that are not
 * there, a projection that halted, no projector, a log that goes on while the position does not. What somebody asked for (paused), what the
 * next version is being built for (outdated), what is catching up, what is parked and a worker that is away are said and turn nobody away: what else
 * there is to ask is answered right, and who needs to be sure of having seen something says so with the query.
 */
export function projectionChecks(progress: () => Promise<Progress>, projections: readonly Projection[]): Record<string, Check> {
  const ofEach =
    (find: (read: ProjectionProgress | null, building: ProjectionProgress | null, mine: Projection) => Omit<Finding, 'name'>[]) =>
    async (): Promise<string | Note | null> => {
      const rows = (await progress()).projections
      const at = (mine: Projection, place: string) => rows.find((row) => row.name === mine.name && row.place === place) ?? null
      return inWords(
        projections.flatMap((mine) => find(at(mine, 'read'), at(mine, 'building'), mine).map((one) => ({ ...one, name: mine.name }))),
      )
    }
  return { tables: ofEach(tables), projector: ofEach(projector), worker: async () => worker(await progress()) }
}

const stops = (what: string) => ({ what, stops: true })
const said = (what: string) => ({ what, stops: false })

function tables(read: ProjectionProgress | null, building: ProjectionProgress | null, { version }: Projection) {
  const built =
    building &&
    (standing(building) ?? `being built${building.progress === null ? '' : `, ${Math.floor(building.progress * 100)} % are there`}`)
  if (!read) return [stops(built ?? 'not there: no projector has made the tables yet')]
  const found = []
  if (read.state === 'halted') found.push(stops(standing(read)!))
  if (read.state === 'paused') found.push(said(`${standing(read)}; answers as of then`))
  if (read.state === 'outdated')
    found.push(said(`answers from version ${read.version}, which stands still; this SmartCRM has version ${version}`))
  if (building && standing(building)) found.push(said(`the tables beside those that answer: ${built}`))
  if (read.parked.events > 0)
    found.push(said(`events that could not be applied are parked: ${read.parked.events} (streams: ${read.parked.streams})`))
  return found
}

function projector(read: ProjectionProgress | null, building: ProjectionProgress | null) {
  const found = []
  if (read && isToMove(read)) found.push(...moving(read))
  if (building && isToMove(building)) {
    const beside = moving(building).filter((one) => one.stops)
    found.push(...(read ? beside.map(({ what }) => said(`the tables beside those that answer: ${what}`)) : beside))
  }
  return read || building ? found : [stops('no projector is at work')]
}

function moving(one: PositionProgress) {
  const { isLed, trouble, lagSeconds } = one
  const why = trouble === null ? '' : `: ${trouble}`
  if (!isLed) return [stops(`no projector is at work${why}`)]
  if (isStuck(one)) return [stops(`${behind(one)}, and stands still${why}`)]
  const found = trouble === null ? [] : [said(`cannot be brought up to date just now${why}`)]
  return lagSeconds !== null && lagSeconds > STILL_SECONDS ? [...found, said(`${behind(one)}, and catches up`)] : found
}

function worker({ heartbeatSeconds, reactors, logFault }: Progress): Note | null {
  const notes = []
  if (logFault === null && heartbeatSeconds === null) notes.push('there was no heartbeat yet: no worker is at work')
  if (heartbeatSeconds !== null && heartbeatSeconds > STILL_SECONDS)
    notes.push(`no heartbeat for ${Math.round(heartbeatSeconds)} s: no worker is at work, or the log takes no events`)
  if (reactors && !reactors.isLed) notes.push('no worker follows the log')
  else if (reactors && isStuck(reactors))
    notes.push(`the worker is ${behind(reactors)}, and stands still: ${reactors.trouble ?? 'nobody knows why'}`)
  return notes.length > 0 ? { note: notes.join('; ') } : null
}

/** The log goes on and this does not, whatever it says of itself. While it does move, it may be as far behind as it likes. */
const isStuck = ({ lagSeconds, movedSecondsAgo }: PositionProgress) =>
  lagSeconds !== null && Math.min(lagSeconds, movedSecondsAgo) > STILL_SECONDS

const isToMove = ({ state }: ProjectionProgress) => state === 'live' || state === 'reading' || state === 'catching-up'

const standing = ({ state, reason }: ProjectionProgress) =>
  state === 'paused' || state === 'halted' ? `${state}${reason === null ? '' : `: ${reason}`}` : null

const behind = ({ lagSeconds }: PositionProgress) => `${Math.round(lagSeconds ?? 0)} s behind the log`

/** What is said of several is said once. */
function inWords(found: readonly Finding[]): string | Note | null {
  if (found.length === 0) return null
  const names = Map.groupBy(found, ({ what }) => what)
  const words = [...names].map(([what, those]) => `${those.map(({ name }) => name).join(', ')}: ${what}`).join('; ')
  return found.some((one) => one.stops) ? words : { note: words }
}
