// The command as a process of its own, so that exit codes, output and `kill -9` are real; its patience can be shortened.
import { Command } from 'commander'
import { importCommand } from '../../src/cli/import.ts'
import { readConfig } from '../../src/config.ts'

const { PATIENCE_SECONDS = '60', ...env } = process.env
const program = new Command('smartcrm')
importCommand(program, () => readConfig(env), { patienceSeconds: Number(PATIENCE_SECONDS) })
await program.parseAsync()
