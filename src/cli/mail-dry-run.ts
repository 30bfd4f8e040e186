import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { defaultLimits, tooLarge } from '../emails/parse/limits.ts'
import { createParser } from '../emails/parse/parser.ts'
import { readMbox } from '../import/mbox.ts'
import { SNIFFED_BYTES, sniff } from '../import/sniff.ts'
import type { ErrorsFile } from './import-report.ts'

export type MailDryRun = {
  file: string
  messages: number
  readable: number
  failed: number
  failures: { message: number; reason: string }[]
}

const KEPT_FAILURES = 1_000

/** Reads the mails of the files, as the service would, and tells which it could not read. */
export async function mailDryRun(paths: readonly string[], errors: ErrorsFile): Promise<MailDryRun[]> {
  const parser = createParser({ secret: randomBytes(32) })
  const reports: MailDryRun[] = []
  try {
    for (const path of paths) {
      const report: MailDryRun = { file: path, messages: 0, readable: 0, failed: 0, failures: [] }
      reports.push(report)
      for await (const raw of mailsOf(path)) {
        report.messages += 1
        const result = raw ? await parser.parse(raw) : { ok: false as const, reason: tooLarge(defaultLimits.sizeBytes) }
        if (result.ok) report.readable += 1
        else {
          report.failed += 1
          const { message: reason } = result.reason
          if (report.failures.length < KEPT_FAILURES) report.failures.push({ message: report.messages, reason })
          await errors.write(path, { line: report.messages, reason, raw: '' })
        }
      }
    }
    return reports
  } finally {
    await parser.close()
  }
}

async function* mailsOf(path: string): AsyncGenerator<Buffer | null> {
  const file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(SNIFFED_BYTES), 0, SNIFFED_BYTES, 0)
  await file.close()
  if (sniff(buffer.subarray(0, bytesRead)) === 'mbox') for await (const { raw } of readMbox(createReadStream(path))) yield raw
  else if ((await stat(path)).size > defaultLimits.sizeBytes) yield null
  else yield await readFile(path)
}
