import { keepKey, keepRole, unloggedKeys } from '../platform/api-key-rows.ts'
import { fold } from '../platform/runner.ts'
import { uuidv5 } from '../platform/uuid.ts'
import type { Services } from '../services.ts'
import { issueKey, keyState } from './key.ts'
import { role } from './role.ts'

type Needed = Pick<Services, 'pool' | 'runner'>

/**
 * Brings what requests are checked by in line with the log. Who has changed a key or a role calls it before he answers, so that the change holds within
 * 5 s on every process, however far the tables are behind. Should he be killed between the two, the reactor `access-on-changed` has it done.
 */
export async function keepAccess({ pool, runner }: Needed, stream: string): Promise<void> {
  const events = await runner.load(stream)
  const revision = events.length - 1
  if (stream.startsWith('key-')) {
    const state = keyState(events)
    if (state) await keepKey(pool, state, revision)
    return
  }
  const state = fold(role, events)
  const name = (events[0]?.data as { name: string } | undefined)?.name
  if (name !== undefined) await keepRole(pool, name, state.status === 'defined' ? state.permissions : null, revision)
}

/**
 * Tells the log of keys that it does not know: the first one, which was in use before anything was there to tell, and those of before keys had events.
 * A key's id makes the command's, so that several processes do it once.
 */
export async function logFirstKeys({ pool, runner }: Needed): Promise<void> {
  for (const { keyId, secretHash, role, name } of await unloggedKeys(pool)) {
    const commandId = uuidv5('issued', keyId)
    const request = { actor: 'system:api', commandId, request: 'first key', correlationId: commandId }
    await runner.execute(issueKey, { secretHash, role, name, sees: 'all' }, { id: keyId }, request)
    await keepAccess({ pool, runner }, `key-${keyId}`)
  }
}
