import { appendFileSync } from 'node:fs'
import { faultExitCode } from '../../src/platform/fault.ts'
import { tellSupervisor } from '../../src/roles/role.ts'

/*
 * Stands in for main.ts where it is about how roles are started and ended: says when it starts and ends in a file, and what it was told.
 * FAULTY names the role that cannot start, KEY the one that has an API key
 * to show, STUBBORN the one that does not end when asked.
 */
const { FILE, FAULTY, STUBBORN, KEY, ADDRESS = 'none' } = process.env
const role = process.argv[2]!
const write = (text: string) => {
  try {
    appendFileSync(FILE!, `${role} ${text}\n`)
  } catch {
    // The test is over, and its folder gone: nobody reads it.
  }
}

process.on('SIGINT', () => write('got SIGINT'))
process.on('SIGTERM', () => {
  if (STUBBORN === role) return
  write('ended')
  process.exit(0)
})
process.on('disconnect', () => {
  write('is alone')
  process.exit(0)
})
if (FAULTY === role) {
  process.send?.({ type: 'fault', sentence: `${role} has a fault.` }, () => process.exit(faultExitCode))
} else {
  if (KEY === role) tellSupervisor({ type: 'api-key', key: 'the-key' })
  write(`started ${process.pid} with ${ADDRESS}`)
  tellSupervisor({ type: 'ready', url: `${role}://here` })
}
