import type { ProjectionStatus } from '../../schema/projection.ts'
import { formatPosition } from '../platform/position.ts'
import type { Projection } from '../platform/projection.ts'
import type { ProjectionProgress } from '../platform/projections/progress.ts'

/** What there is of each projection, in the order of their list; those that no code has any more come last. */
export function statusOf(declared: readonly Projection[], progress: readonly ProjectionProgress[]): ProjectionStatus[] {
  const names = new Set([...declared.map(({ name }) => name), ...progress.map(({ name }) => name)])
  return [...names].map((name) => {
    const at = (place: ProjectionProgress['place']) => progress.find((one) => one.name === name && one.place === place)
    const [answering, building, kept] = [at('read'), at('building'), at('retired')]
    return {
      name,
      answering: answering ? shown(answering) : null,
      building: building ? { ...shown(building), progress: building.progress, secondsLeft: building.secondsLeft } : null,
      kept: kept ? { version: kept.version, since: kept.since, position: formatPosition(kept.position) } : null,
    }
  })
}

const shown = ({ version, state, reason, since, position, trouble, lagSeconds, eventsPerSecond, parked }: ProjectionProgress) => ({
  version,
  state,
  reason,
  since,
  position: formatPosition(position),
  trouble,
  lagSeconds,
  eventsPerSecond,
  parked,
})
