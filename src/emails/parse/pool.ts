import { Worker } from 'node:worker_threads'
import { type RefusalReason, tooMuchMemory, tooSlow } from './limits.ts'
import type { Answer, Job, Reply, WorkerData } from './worker.ts'

type Waiting = {
  readonly bytes: Uint8Array
  readonly about: Omit<Job, 'bytes'>
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

type Slot = { worker: Worker; ready: boolean; cpuMicroseconds: number; job: Waiting | null; watch: NodeJS.Timeout | undefined }

/** Mails that are read at the same time may take so much together; a larger one is read alone. */
const BYTES_AT_ONCE = 32 * 1024 * 1024

/** For a machine so busy that the processor time is never reached. */
const WALL_FACTOR = 20

export type Pool = { run(bytes: Uint8Array, about: Omit<Job, 'bytes'>): Promise<Answer>; close(): Promise<void> }

/**
 * Threads that parse one mail each at a time. One that takes too long or too much memory is ended with its mail, and another takes its place; they are
 * started when there is something to do, and an idle one does not keep the process alive.
 */
export function createPool({ threads, limits, secret }: WorkerData & { threads: number }): Pool {
  const slots = new Set<Slot>()
  const queue: Waiting[] = []
  let bytesAtWork = 0
  let closed = false

  const start = () => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: 'mail-parser',
      workerData: { limits, secret } satisfies WorkerData,
      resourceLimits: { maxOldGenerationSizeMb: limits.heapMegabytes, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    })
    const slot: Slot = { worker, ready: false, cpuMicroseconds: 0, job: null, watch: undefined }
    slots.add(slot)
    let failure: Error | undefined
    worker.on('message', ({ cpuMicroseconds, answer }: Reply) => {
      slot.ready = true
      slot.cpuMicroseconds = cpuMicroseconds
      if (answer) finish(slot, answer)
      else {
        worker.unref()
        assign()
      }
    })
    worker.on('error', (error) => {
      failure = error
    })
    worker.on('exit', () => {
      slots.delete(slot)
      if (slot.job) finish(slot, { ok: false, reason: reasonOf(failure) })
      // A thread that cannot even start would be started for ever.
      else if (!slot.ready && !closed)
        for (const { reject } of queue.splice(0)) reject(failure ?? new Error('A thread for mail did not start.'))
      assign()
    })
  }

  const reasonOf = (failure: Error | undefined): RefusalReason =>
    (failure as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY'
      ? tooMuchMemory(limits.heapMegabytes)
      : { code: 'parser-failed', message: 'The mail ended the thread that read it.' }

  const finish = (slot: Slot, answer: Answer) => {
    const { job } = slot
    if (!job) return
    clearTimeout(slot.watch)
    slot.job = null
    slot.worker.unref()
    bytesAtWork -= job.bytes.length
    if (closed) job.reject(new Error('The parser was closed.'))
    else job.resolve(answer)
    assign()
  }

  const assign = () => {
    while (queue.length > 0 && !closed) {
      const slot = [...slots].find(({ ready, job }) => ready && !job)
      const next = queue[0]!
      if (bytesAtWork > 0 && bytesAtWork + next.bytes.length > BYTES_AT_ONCE) return
      if (!slot) {
        const starting = [...slots].filter(({ ready }) => !ready).length
        if (slots.size < threads && starting < queue.length) start()
        return
      }
      queue.shift()
      give(slot, next)
    }
  }

  const give = (slot: Slot, job: Waiting) => {
    slot.job = job
    bytesAtWork += job.bytes.length
    slot.worker.ref()
    // A copy, which is handed over: a view would take the whole of what it is a view on along, and the caller needs the bytes for later.
    const bytes = new Uint8Array(job.bytes)
    slot.worker.postMessage({ bytes, ...job.about } satisfies Job, [bytes.buffer])
    const before = slot.cpuMicroseconds
    const latest = performance.now() + limits.cpuMilliseconds * WALL_FACTOR
    const check = async () => {
      const usage = await slot.worker.cpuUsage().catch(() => null)
      if (slot.job !== job || !usage) return
      const leftMilliseconds = limits.cpuMilliseconds - (usage.user + usage.system - before) / 1000
      if (leftMilliseconds > 0 && performance.now() < latest) {
        slot.watch = setTimeout(check, Math.max(leftMilliseconds, 20))
        return
      }
      slots.delete(slot)
      slot.worker.terminate()
      finish(slot, { ok: false, reason: tooSlow(limits.cpuMilliseconds) })
    }
    slot.watch = setTimeout(check, limits.cpuMilliseconds)
  }

  return {
    run: (bytes, about) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new Error('The parser was closed.'))
        queue.push({ bytes, about, resolve, reject })
        assign()
      }),
    async close() {
      closed = true
      for (const { reject } of queue.splice(0)) reject(new Error('The parser was closed.'))
      await Promise.all([...slots].map(({ worker }) => worker.terminate()))
    },
  }
}
