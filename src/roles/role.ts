/** The roles a SmartCRM process can take, in the order in which the supervisor starts them. */
export const roles = ['postgres', 'eventstore', 'api', 'projector', 'worker'] as const
export type Role = (typeof roles)[number]

/** A role at work. */
export type Running = {
  /** Where it can be reached, if somebody may reach it. */
  url?: string
  /** Resolves when it ended without being asked to; the process then ends, and is started again by its supervisor. */
  ended?: Promise<void>
  /** Ends it and loses nothing. Resolves within 5 s: after that the process is killed. */
  close(): Promise<void>
}

/** What a role tells its supervisor. The key is for the person who started it all: the supervisor shows it once. */
export type RoleMessage = { type: 'ready'; url?: string } | { type: 'fault'; sentence: string } | { type: 'api-key'; key: string }

/** How the supervisor says to a role that it listens; other programs that start us may have a channel to us too. */
export const supervisedFlag = '--supervised'

export const isSupervised = (): boolean => process.argv.includes(supervisedFlag) && process.send !== undefined

/** Sends to the supervisor. @returns false when there is none: the caller has to print it then */
export function tellSupervisor(message: RoleMessage): boolean {
  if (!isSupervised()) return false
  if (process.connected) process.send?.(message)
  return true
}
