import { createRandom, type Random } from '../soak/random.ts'
import { type Asked, draw, type HttpFault, type Mix, type Said, startVendor } from './http.ts'

export type Teardown = { teardown(clear: () => unknown): void }

/** What every vendor can be told to do wrong, by whoever starts it or over `/control`. */
export type StandInSettings = {
  /** The next requests fail so, one by each: those that begin what is paid, or the others. */
  faults: { on: 'start' | 'read'; fault: HttpFault | null }[]
  /** After those: how often each fault happens. */
  mix: { start: Mix<HttpFault>; read: Mix<HttpFault> }
  seed: number
}

type Options = {
  port?: number | undefined
  settings: StandInSettings
  /** Whether a request begins what is paid. */
  isStart(asked: Asked): boolean
  answer(asked: Asked, random: Random): Said | Promise<Said>
  error(status: number, message: string): Said
  /** What was begun, by the cause that it names; null where it names none. */
  causes(): Iterable<unknown>
}

/** A vendor whose faults are drawn, which counts what is paid, and which does as it is told over `/control`. */
export async function startStandIn(t: Teardown | undefined, { port, settings, isStart, answer, error, causes }: Options) {
  const requests: string[] = []
  let random = createRandom(settings.seed)
  const startsByCause = () => {
    const counts: Record<string, number> = {}
    for (const cause of causes()) counts[String(cause ?? 'none')] = (counts[String(cause ?? 'none')] ?? 0) + 1
    return counts
  }
  const vendor = await startVendor({
    ...(port !== undefined && { port }),
    answer(asked) {
      requests.push(`${asked.method} ${asked.path}`)
      return answer(asked, random)
    },
    error,
    fault(asked) {
      const on = isStart(asked) ? 'start' : 'read'
      const next = settings.faults.findIndex((fault) => fault.on === on)
      return next >= 0 ? settings.faults.splice(next, 1)[0]!.fault : draw(settings.mix[on], random)
    },
    control(told) {
      Object.assign(settings, told)
      if ((told as Partial<StandInSettings> | null)?.seed !== undefined) random = createRandom(settings.seed)
      return { startsByCause: startsByCause(), requests: requests.length }
    },
  })
  t?.teardown(vendor.close)
  return { ...vendor, requests, startsByCause }
}

/** The next of what is to go wrong, or one that is drawn. */
export const nextFault = <F extends string>(next: (F | null)[], mix: Mix<F>, random: Random): F | null =>
  next.length > 0 ? next.shift()! : draw(mix, random)
