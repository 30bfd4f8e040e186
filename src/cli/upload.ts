import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { basename } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { Service } from './service.ts'

/** For so long nothing may move in either direction. */
const IDLE_MS = 120_000

export type UploadAnswer = { readonly status: number; readonly body: unknown }

/**
 * Sends a file as a form, as it is read: `fetch` would end an upload that takes long. Once: who sends it again asks first whether it arrived.
 * @throws Error when the connection is lost before an answer came
 */
export async function uploadFile(
  { url, key }: Service,
  path: string,
  sizeBytes: number,
  fields: readonly (readonly [string, string])[],
  onSent: (bytes: number) => void,
): Promise<UploadAnswer> {
  const boundary = `smartcrm-${randomBytes(12).toString('hex')}`
  const name = encodeURIComponent(basename(path)).replaceAll("'", '%27')
  const head = Buffer.from(
    `${fields.map(([field, value]) => `--${boundary}\r\ncontent-disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`).join('')}` +
      `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename*=utf-8''${name}\r\ncontent-type: application/octet-stream\r\n\r\n`,
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const target = new URL(`${url}/v1/imports`)
  const request = (target.protocol === 'https:' ? https : http).request(target, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      accept: 'application/json',
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + sizeBytes + tail.length,
    },
    timeout: IDLE_MS,
  })
  request.on('timeout', () => request.destroy(new Error(`nothing moved for ${IDLE_MS / 1000} seconds`)))
  const answered = new Promise<http.IncomingMessage>((resolve, reject) => request.once('response', resolve).once('error', reject))
  answered.catch(() => {})
  async function* body() {
    yield head
    let sent = 0
    for await (const piece of createReadStream(path, { end: Math.max(sizeBytes - 1, 0), highWaterMark: 256 * 1024 })) {
      yield piece
      sent += piece.length
      onSent(sent)
    }
    yield tail
  }
  // A refusal may come before all is sent; then that is what counts.
  const sent = pipeline(body, request).catch((error) => error)
  const response = await Promise.race([answered, sent.then((error) => (error ? Promise.race([answered, later(error)]) : answered))])
  const answer = await text(response)
  return { status: response.statusCode!, body: parsed(answer) }
}

const later = (error: Error) => new Promise<never>((_, reject) => setTimeout(() => reject(error), 500))

function parsed(answer: string): unknown {
  try {
    return JSON.parse(answer)
  } catch {
    return undefined
  }
}
