import { Fault } from '../platform/fault.ts'

/** What came of a command: for a person, for a program, and its exit code. */
export type Outcome = { readonly text: string; readonly data: unknown; readonly code: number }

/** Carries out and prints; gives the exit code. @param wrongCall that of a command that could not be carried out, which is said in words */
export async function tell(json: boolean, wrongCall: number, carryOut: () => Promise<Outcome>): Promise<number> {
  const { Unavailable } = await import('../platform/refusal.ts')
  try {
    const { text, data, code } = await carryOut()
    console.log(json ? JSON.stringify(data, null, 2) : text)
    return code
  } catch (error) {
    if (!(error instanceof Fault || error instanceof Unavailable)) throw error
    if (json) console.log(JSON.stringify({ error: error.message }, null, 2))
    else console.error(error.message)
    return wrongCall
  }
}
