import { Type } from '@sinclair/typebox'
import { emailEvents } from '../../schema/email-events.ts'
import type { Command } from '../platform/decider.ts'
import { internalCommand } from '../platform/decider.ts'
import { Refused } from '../platform/refusal.ts'
import type { Services } from '../services.ts'
import { email } from './email.ts'

/** Takes a mail away before its key is destroyed: the event itself says nothing personal, so it stays. */
export const forgetEmail = internalCommand(email, 'erase', {
  body: Type.Object({}, { additionalProperties: false }),
  decide: (_, { status }, { id }) => (status === 'stored' ? [emailEvents.EmailRemoved({ emailId: id, reason: 'erased' })] : []),
})

type Needs = Pick<Services, 'store' | 'vault' | 'blobs'>
type Execute = (index: string, command: Command, body: object, params: { id: string }) => Promise<unknown>

/**
 * Erases a mail for good: no table shows it, its key is destroyed, its blobs are gone. Its stream stays, and by that it is known not to be stored again.
 * In this order, so that whoever was killed in the middle is followed by one who does the same again.
 * @returns false where there is no such mail @throws Unavailable
 */
export async function eraseEmail({ store, vault, blobs }: Needs, emailId: string, execute: Execute): Promise<boolean> {
  const first = await store.readFirst(`email-${emailId}`)
  const keyId = (first?.metadata as { key?: string | null } | undefined)?.key
  if (!keyId) return false
  await execute(`erase ${emailId}`, forgetEmail, {}, { id: emailId }).catch((error) => {
    if (!(error instanceof Refused && error.code === 'erased')) throw error
  })
  await eraseKeys({ vault, blobs }, [keyId])
  return true
}

/** Destroys keys, and removes what they had sealed beside the log, which nobody can read any more. @throws Unavailable */
export async function eraseKeys({ vault, blobs }: Pick<Needs, 'vault' | 'blobs'>, keyIds: readonly string[]): Promise<void> {
  await vault.destroy(keyIds)
  for (const keyId of keyIds) await removeBlobs(blobs, keyId)
}

/** Removes all that a key has sealed beside the log. */
export async function removeBlobs(blobs: Needs['blobs'], keyId: string): Promise<void> {
  for await (const blob of blobs.list(keyId)) await blobs.remove(blob)
}
