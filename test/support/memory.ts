import { readFile } from 'node:fs/promises'

/** The most memory that a process has taken (its resident set, in MiB), by Linux; null elsewhere, and of one that is gone. */
export async function peakMebibytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kilobytes = /^VmHWM:\s+(\d+)/m.exec(status)?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) / 1024
}
