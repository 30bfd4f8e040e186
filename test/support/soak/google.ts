import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { FaultRule } from '../google/faults.ts'
import type { Account } from '../google/quota.ts'

const main = join(import.meta.dirname, '../google/main.ts')

export type GoogleProcess = Awaited<ReturnType<typeof startGoogleProcess>>

/** The simulated Google as a process of its own, asked and told things at its control door. @param args as test/support/google/main.ts takes them */
export async function startGoogleProcess(args: readonly string[]) {
  const child = fork(main, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  async function control<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${url}/_control/${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    const answer = await response.json()
    if (!response.ok) throw new Error(`Google's control ${path}: ${JSON.stringify(answer)}`)
    return answer as T
  }
  const [address] = await control<string[]>('GET', 'accounts')
  const account = `accounts/${encodeURIComponent(address!)}`
  return {
    url,
    address: address!,
    now: async () => (await control<{ now: number }>('GET', 'clock')).now,
    messages: () => control<{ id: string; labelIds: string[] }[]>('GET', `${account}/messages`),
    add: (raw: Buffer, more: object = {}) =>
      control<{ id: string }>('POST', `${account}/messages`, { raw: raw.toString('base64url'), ...more }),
    remove: (id: string) => control('DELETE', `${account}/messages/${id}`),
    relabel: (id: string, labels: object) => control('PATCH', `${account}/messages/${id}`, labels),
    expireHistory: () => control('POST', `${account}/expire-history`),
    expirePages: () => control('POST', 'expire-page-tokens'),
    sayLess: (share: number) => control('PUT', `${account}/only-messages`, share),
    fail: (rules: readonly FaultRule[]) => control('POST', 'faults', rules),
    heal: () => control('DELETE', 'faults'),
    quirks: (quirks: object) => control('POST', 'quirks', quirks),
    quota: (from?: number, to?: number) =>
      control<Account>(
        'GET',
        `quota/${encodeURIComponent(address!)}?${new URLSearchParams({ ...(from && { from: `${from}` }), ...(to && { to: `${to}` }) })}`,
      ),
    async close() {
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}
