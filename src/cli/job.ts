import { setTimeout as delay } from 'node:timers/promises'
import type { Job } from '../../schema/job.ts'
import { type Asking, ServiceError } from './service.ts'

const LOOK_MS = 500

/** Begins long work and waits for its end; how far it is is shown on a terminal. @throws ServiceError when it failed */
export async function untilDone<R>(ask: Asking, path: string, body: object, isQuiet: boolean): Promise<R> {
  const { id } = await ask<Job>('POST', path, body)
  for (;;) {
    const job = await ask<Job>('GET', `/v1/jobs/${id}`)
    if (process.stderr.isTTY && !isQuiet)
      process.stderr.write(`\r\x1b[K${job.progress ? `${job.progress.done} % ${job.progress.note ?? ''}` : ''}`)
    if (job.state === 'done' || job.state === 'failed' || job.state === 'cancelled') {
      if (process.stderr.isTTY && !isQuiet) process.stderr.write('\r\x1b[K')
      if (job.state !== 'done') throw new ServiceError(job.error?.message ?? 'Somebody cancelled it.')
      return job.result as R
    }
    await delay(LOOK_MS)
  }
}
