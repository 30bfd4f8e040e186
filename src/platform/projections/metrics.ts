import { counter, gauge, type Metrics, type Sample } from '../metrics.ts'
import type { Progress, ProjectionProgress } from './progress.ts'

/** How far what follows the log is: out of Postgres and the log, so the same whichever process is asked, and however idle the log is. */
export function projectionMetrics(metrics: Metrics, progress: () => Promise<Progress>): void {
  /** Of what answers and of what is built beside it; a value that is not known has no series. */
  const ofEach = (value: (one: ProjectionProgress) => number | null) => async (sample: Sample) => {
    for (const one of (await progress()).projections) {
      const known = one.place === 'retired' ? null : value(one)
      if (known !== null) sample({ projection: one.name, place: one.place }, known)
    }
  }
  const ofOne = (value: (progress: Progress) => number | null | undefined) => async (sample: Sample) => {
    const known = value(await progress())
    if (known !== null && known !== undefined) sample({}, known)
  }
  const labels = ['projection', 'place']

  gauge(metrics, {
    name: 'smartcrm_projection_lag_seconds',
    help: 'Age of the oldest event of the log that the projection has not applied; 0 where there is none. Place read answers, building is beside it.',
    labels,
    tell: ofEach(({ lagSeconds }) => lagSeconds),
  })
  counter(metrics, {
    name: 'smartcrm_projection_events_total',
    help: 'Events of the log handled on the way to the position.',
    labels,
    tell: ofEach(({ events }) => events),
  })
  gauge(metrics, {
    name: 'smartcrm_projection_parked_events',
    help: 'Events that could not be applied, and later ones of their streams.',
    labels,
    tell: ofEach(({ parked }) => parked.events),
  })
  gauge(metrics, {
    name: 'smartcrm_projection_parked_streams',
    help: 'Streams of which events are parked.',
    labels,
    tell: ofEach(({ parked }) => parked.streams),
  })
  gauge(metrics, {
    name: 'smartcrm_projection_state',
    help: '1 for the state that it is in: live, reading, finishing, catching-up, paused, halted, outdated.',
    labels: [...labels, 'state', 'version'],
    async tell(sample) {
      for (const { name, place, state, version } of (await progress()).projections)
        if (place !== 'retired') sample({ projection: name, place, state, version: String(version) }, 1)
    },
  })
  gauge(metrics, {
    name: 'smartcrm_projection_led',
    help: 'Whether a process works at its position.',
    labels,
    tell: ofEach(({ isLed }) => Number(isLed)),
  })
  gauge(metrics, {
    name: 'smartcrm_projection_troubled',
    help: 'Whether the last try to move its position failed.',
    labels,
    tell: ofEach(({ trouble }) => Number(trouble !== null)),
  })
  gauge(metrics, {
    name: 'smartcrm_projection_position_age_seconds',
    help: 'How long ago its position moved.',
    labels,
    tell: ofEach(({ movedSecondsAgo }) => movedSecondsAgo),
  })
  gauge(metrics, {
    name: 'smartcrm_projection_rebuild_progress_ratio',
    help: 'How much of the log it has read on its way to the live position.',
    labels,
    tell: ofEach(({ progress }) => progress),
  })
  gauge(metrics, {
    name: 'smartcrm_projection_rebuild_remaining_seconds',
    help: 'Until it is at the end of the log, at the speed of now.',
    labels,
    tell: ofEach(({ secondsLeft }) => secondsLeft),
  })

  gauge(metrics, {
    name: 'smartcrm_reactors_lag_seconds',
    help: 'Age of the oldest event of the log that the reactors have not passed; 0 where there is none. While nothing concerns them they move once in 10 seconds.',
    tell: ofOne(({ reactors }) => reactors?.lagSeconds),
  })
  counter(metrics, {
    name: 'smartcrm_reactors_events_total',
    help: 'Events of the log that the reactors have handled.',
    tell: ofOne(({ reactors }) => reactors?.events),
  })
  gauge(metrics, {
    name: 'smartcrm_heartbeat_age_seconds',
    help: 'Age of the newest heartbeat of the log: the worker appends one every 10 s.',
    tell: ofOne(({ heartbeatSeconds }) => heartbeatSeconds),
  })
  gauge(metrics, {
    name: 'smartcrm_event_store_up',
    help: 'Whether the log answers this process.',
    tell: ofOne(({ logFault }) => Number(logFault === null)),
  })
  gauge(metrics, {
    name: 'smartcrm_postgres_up',
    help: 'Whether Postgres answers this process.',
    tell: (sample) =>
      progress().then(
        () => sample({}, 1),
        () => sample({}, 0),
      ),
  })
}
