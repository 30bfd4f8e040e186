import { Fault } from '../platform/fault.ts'

/** Contacts are made of those that the mailbox's owner wrote to, and everybody sees everything: it is there to be looked at. */
const wishes = { creationPolicy: { create: 'written-to' }, visibility: 'everything' }

/**
 * Connects the demo's mailbox as its owner would, over the API and in a browser; Google's stand-in consents by itself. Whoever has disconnected it meant it.
 * @param url of the API @throws Fault when it does not work
 */
export async function connectMailbox(url: string, apiKey: string): Promise<void> {
  const ask = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    })
    if (!response.ok) throw failed(`${method} ${path} was answered ${response.status}, ${await response.text()}`)
    return (await response.json()) as T
  }
  const { data: known } = await ask<{ data: unknown[] }>('GET', '/mailboxes')
  if (known.length > 0) return
  // Whoever turns up in the mail is looked up, at the stand-ins.
  await ask('PUT', '/enrichment/on-creation', { onCreation: true })
  const { consentUrl } = await ask<{ consentUrl: string }>('POST', '/mailboxes/google/connect', wishes)
  const page = await fetch(consentUrl, { signal: AbortSignal.timeout(30_000) })
  await page.body?.cancel()
  if (!page.ok) throw failed(`consent came back with ${page.status}.`)
}

const failed = (what: string) => new Fault(`The demo's mailbox could not be connected: ${what}`)
