/*
 * Run by npm after an install here: puts the command into the checkout's own node_modules/.bin, where `npx smartcrm` looks first. Without it npx
 * would link some checkout of this name into its cache, for all of them.
 */
import { rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const link = join(import.meta.dirname, '..', 'node_modules', '.bin', 'smartcrm')
rmSync(link, { force: true })
symlinkSync(join('..', '..', 'src', 'smartcrm.js'), link)
