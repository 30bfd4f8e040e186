import { createFollower, type Follower, type FollowerHealth, type FollowerOptions } from './follower.ts'
import type { Projection } from './projection.ts'
import { createInterpreter } from './rows.ts'
import { createTableStore } from './table-store.ts'

export type ProjectorOptions = Pick<FollowerOptions<never>, 'pool' | 'log' | 'subscribe' | 'decode' | 'limits'> & {
  readonly projections: readonly Projection[]
  readonly checkpoint?: string
}
export type ProjectorHealth = FollowerHealth
export type Projector = Follower

/** Folds the log into the projections' tables. */
export function createProjector({ projections, checkpoint = 'live', ...options }: ProjectorOptions): Projector {
  const { apply } = createTableStore(projections)
  return createFollower({ ...options, checkpoint, target: 'the read tables', interpret: createInterpreter(projections), apply })
}
