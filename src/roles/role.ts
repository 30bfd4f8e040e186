/** The roles a SmartCRM process can take, in the order in which the supervisor starts them. */
export const roles = ['postgres', 'eventstore', 'api', 'projector', 'worker'] as const
export type Role = (typeof roles)[number]

/** A role at work. */
export type Running = {
  /** Where it can be reached, if somebody may reach it. */
  url?: string
  /** Ends it and loses nothing. Resolves within 10 s. */
  close(): Promise<void>
}

/** What a role tells its supervisor, and (the last) what the supervisor prints for it. */
export type RoleMessage = { type: 'ready'; url?: string } | { type: 'fault'; sentence: string } | { type: 'api-key'; key: string }

/** Sends to the supervisor, if there is one. @returns whether there is */
export function tellSupervisor(message: RoleMessage): boolean {
  return process.connected === true && process.send?.(message) !== undefined
}
