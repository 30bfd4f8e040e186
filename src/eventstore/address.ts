import { readFileSync, rmSync, writeFileSync } from 'node:fs'

/** Where the node that has the log open can be reached: for commands on this machine, which know the file only. */
const placeOf = (file: string) => `${file}.address`

export function noteAddress(file: string, url: string): void {
  writeFileSync(placeOf(file), url)
}

/** Undefined where no node has the log open. After a crash it may name one that is gone: the lock tells who is there. */
export function readAddress(file: string): string | undefined {
  try {
    return readFileSync(placeOf(file), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export function removeAddress(file: string): void {
  rmSync(placeOf(file), { force: true })
}
