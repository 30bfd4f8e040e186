import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { environment } from '../config.ts'
import { Fault } from '../platform/fault.ts'
import { type KeptProcess, keepRunning } from '../platform/kept-process.ts'
import type { Logger } from '../platform/log.ts'
import { freePort } from '../platform/ports.ts'
import { compileCache } from '../role-processes.ts'
import type { Demo } from './demo.ts'

/** The vendors of a demo: programs on this machine that answer as the real ones do. */
export type StandIns = {
  /** The settings by which the roles find them. */
  readonly env: NodeJS.ProcessEnv
  stop(): Promise<void>
  kill(): void
}

const support = join(import.meta.dirname, '../../test/support')
/** At the real Google's prices and 6,000 units a minute, 2,000 mails take seven minutes. */
const prices = 'messages.get=1'
const MAILS_A_THREAD = 5
const MAILS_A_PERSON = 16
const clientId = 'smartcrm-demo.apps.googleusercontent.example'

/**
 * Starts them, each again when it ends, and waits until they answer. When this process dies they notice and end by themselves.
 * @param folder of the demo's data @param publicUrl where they find the API @throws Fault where they are not there
 */
export async function keepStandIns(
  demo: Demo,
  { folder, publicUrl, log }: { folder: string; publicUrl: string; log: Logger },
): Promise<StandIns> {
  if (!existsSync(support)) throw new Fault('The demo needs the folder test of the source code, which is not here: start it in a checkout.')
  const kept: KeptProcess[] = []
  const keep = (name: string, program: string, options: Readonly<Record<string, string | number | true>>) => {
    const args = Object.entries(options).flatMap(([option, value]) => (value === true ? [`--${option}`] : [`--${option}`, `${value}`]))
    const start = () =>
      spawn(process.execPath, [join(support, program), ...args], {
        env: { ...environment(), NODE_COMPILE_CACHE: compileCache },
        // As the roles: Ctrl-C is for us to pass on.
        detached: true,
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      })
    kept.push(keepRunning({ name, log, start, onEnd: () => true }))
  }

  const people = join(folder, 'people.json')
  const port = await freePort()
  const google = `http://127.0.0.1:${port}`
  keep('google', 'google/main.ts', {
    port,
    now: demo.startedAt,
    messages: demo.mails,
    threads: Math.ceil(demo.mails / MAILS_A_THREAD),
    people: Math.min(Math.ceil(demo.mails / MAILS_A_PERSON), 120),
    auto: true,
    prices,
    'people-file': people,
    'client-id': clientId,
    'client-secret': demo.secret,
    secret: demo.secret,
  })
  await answering(google)
  log.info({ url: google }, 'google is up')
  const [apify, openai] = [await freePort(), await freePort()]
  keep('vendors', 'vendors/main.ts', { 'apify-port': apify, 'openai-port': openai, 'pages-port': demo.pagesPort, people })
  await answering(`http://127.0.0.1:${openai}`)

  return {
    env: {
      SMARTCRM_PUBLIC_URL: publicUrl,
      GOOGLE_CLIENT_ID: clientId,
      GOOGLE_CLIENT_SECRET: demo.secret,
      GOOGLE_URL: google,
      GMAIL_PRICES: prices,
      APIFY_URL: `http://127.0.0.1:${apify}`,
      APIFY_TOKEN: 'apify_api_test',
      OPENAI_URL: `http://127.0.0.1:${openai}/v1`,
      OPENAI_API_KEY: 'sk-test',
    },
    async stop() {
      await Promise.all(kept.map((process) => process.stop(0.5)))
    },
    kill() {
      for (const process of kept) process.kill('SIGKILL')
    },
  }
}

async function answering(url: string): Promise<void> {
  for (;;) {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => null)
    await response?.body?.cancel()
    if (response) return
    await delay(50)
  }
}
