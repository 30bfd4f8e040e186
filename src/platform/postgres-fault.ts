import { Fault } from './fault.ts'

/** No locale of the machine changes what Postgres says, and no secret of ours goes to it. */
export const postgresEnvironment = { LC_ALL: 'C', TZ: 'UTC' }

/** The sentence for what Postgres or initdb said, or null when it is nothing that we know. */
export function postgresFault(output: string, { dir, port }: { dir: string; port?: number }): Fault | null {
  if (/Address already in use/.test(output)) {
    return new Fault(`Port ${port} of 127.0.0.1 is in use: stop what listens there, or set POSTGRES_PORT to another port.`)
  }
  if (/No space left on device|Check free disk space/.test(output))
    return new Fault(`The disk that holds ${dir} is full: make room there, then start again.`)
  if (/Read-only file system/.test(output)) return new Fault(`${dir} can only be read: set SMARTCRM_DATA to a folder that can be written.`)
  if (/Permission denied/.test(output)) {
    return new Fault(`Postgres may not use ${dir}: start SmartCRM as the user who made it, or set SMARTCRM_DATA to another folder.`)
  }
  return null
}
