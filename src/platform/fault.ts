/**
 * What a person has to mend: one clear sentence, what is wrong and what to do. Trying again does not help, so a role that ends
 * with one is not started again, and no stack trace is printed.
 */
export class Fault extends Error {
  override name = 'Fault'
}

/** Exit code of a process that ended with a Fault (EX_CONFIG of sysexits.h). */
export const faultExitCode = 78
