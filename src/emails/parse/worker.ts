import './plain-blob.ts'
import { parentPort, workerData } from 'node:worker_threads'
import { type Limits, MailRefused, type RefusalReason } from './limits.ts'
import { type ParsedEmail, parseEmail } from './parse-email.ts'

/** What the pool sends to a worker and gets back. `cpuMicroseconds` is what the thread has used since it began. */
export type WorkerData = { readonly limits: Limits; readonly secret: Uint8Array }
export type Job = { readonly bytes: Uint8Array; readonly now: number; readonly fallbackDate?: string | undefined }
export type Answer = ({ readonly ok: true } & ParsedEmail) | { readonly ok: false; readonly reason: RefusalReason }
export type Reply = { readonly cpuMicroseconds: number; readonly answer: Answer | null }

const { limits, secret } = workerData as WorkerData

const reply = (answer: Answer | null, transfer: ArrayBuffer[] = []) => {
  const { user, system } = process.threadCpuUsage()
  parentPort!.postMessage({ cpuMicroseconds: user + system, answer } satisfies Reply, transfer)
}

/** A view on bytes of its own, which can be handed over without copying. */
function whole(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const alone = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
  return alone ? new Uint8Array(bytes.buffer as ArrayBuffer) : new Uint8Array(bytes)
}

parentPort!.on('message', async ({ bytes, ...job }: Job) => {
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  try {
    const parsed = await parseEmail(raw, { limits, secret, ...job })
    const html = parsed.html && whole(parsed.html)
    const attachmentContents = parsed.attachmentContents.map(whole)
    const transfer = new Set([...attachmentContents, ...(html ? [html] : [])].map(({ buffer }) => buffer))
    reply({ ok: true, email: parsed.email, html, attachmentContents }, [...transfer])
  } catch (error) {
    const { message } = error as Error
    const code = error instanceof MailRefused ? error.code : 'parser-failed'
    reply({ ok: false, reason: { code, message: code === 'parser-failed' ? `The mail cannot be read: ${message}.` : message } })
  }
})

// Nothing is to be timed before everything is loaded.
reply(null)
