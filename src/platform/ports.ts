import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { Fault } from './fault.ts'

/**
 * A port of `host` that nobody listens on now. It is below the range from which systems take the near ends of outgoing connections
 * (from 32768 on Linux, 49152 elsewhere): while a server is being started again, a client of it that tries to connect
 * could otherwise be given the very port as its near end, be connected to itself, and keep the server out.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(20_000, 32_000)
    if ((await listenError(host, port)) === null) return port
  }
  throw new Fault(`No free port was found on ${host}: set PORT, EVENTSTORE_PORT and POSTGRES_PORT.`)
}

/** @throws Fault when nothing can listen there. @param setting the name of the setting that chose the port */
export async function checkPort(host: string, port: number, setting: string): Promise<void> {
  const error = await listenError(host, port)
  if (error) throw listenFault(error, host, port, setting) ?? error
}

/** @throws Fault when browsers and `fetch`, ours too, refuse to connect to such a port. @param setting the name of the setting that chose the port */
export async function checkReachable(port: number, setting: string): Promise<void> {
  if (!(await isBlocked(`http://127.0.0.1:${port}/`))) return
  throw new Fault(
    `Browsers and most programs open no connection to port ${port} (https://fetch.spec.whatwg.org/#port-blocking): set ${setting} to another port.`,
  )
}

/** Only `fetch` itself knows its list. A port on it is refused before anything is sent; to another port nothing is sent either, but a HEAD. */
const isBlocked = async (url: string) => {
  try {
    await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(100) })
    return false
  } catch (error) {
    return ((error as Error).cause as Error | undefined)?.message === 'bad port'
  }
}

/** The sentence for an error of `listen`, or null for an error that is none of the common ones. */
export function listenFault(error: unknown, host: string, port: number, setting: string): Fault | null {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new Fault(`Port ${port} of ${host} is in use: stop what listens there, or set ${setting} to another port.`)
    case 'EACCES':
      return new Fault(`Port ${port} of ${host} needs rights that this user does not have: set ${setting} to a port from 1024 on.`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Fault(`${host} is not an address of this machine: set HOST to one, for example 127.0.0.1 or 0.0.0.0.`)
    default:
      return null
  }
}

const listenError = (host: string, port: number) =>
  new Promise<Error | null>((resolve) => {
    const server = createServer()
    server.once('error', resolve)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)))
  })
