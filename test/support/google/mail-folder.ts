import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NewMessage } from './mailbox.ts'
import { headerOf, headersOf } from './payload.ts'

/**
 * The files below a folder as messages, oldest first, so that answers find their threads. What does not say when it was sent was accepted at the given
 * time, as Gmail would have it.
 * @param accepted milliseconds since 1970
 */
export function messagesIn(folder: string, accepted: number): NewMessage[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.eml'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  const messages = files.map((file, index) => {
    const raw = readFileSync(file)
    const date = Date.parse(headerOf(headersOf(raw), 'date')?.replaceAll(/\([^)]*\)/g, '') ?? '')
    const isSound = date > 0 && date <= accepted
    return { raw, internalDate: isSound ? date : accepted + index }
  })
  return messages.sort((a, b) => a.internalDate - b.internalDate)
}
