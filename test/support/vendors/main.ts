/**
 * The stand-ins for Apify and OpenAI as one process: `node test/support/vendors/main.ts [--apify-port N] [--openai-port N] [--pages-port N] [--people FILE]`. Its
 * first line is JSON that names their addresses and keys. With --pages-port the made-up pages are served, too, where they say that they are. `POST <address>/control` sets what they do (see ApifySettings, OpenAiSettings) and tells what was paid.
 * The file of people is JSON: [{ name, email, title?, city?, phone? }].
 */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { startApify } from '../apify/apify.ts'
import { startOpenAi } from '../openai/openai.ts'
import { madeUpPages, type OnPage } from './made-up-pages.ts'
import { startPages } from './page-server.ts'

const { values } = parseArgs({
  options: {
    'apify-port': { type: 'string' },
    'openai-port': { type: 'string' },
    'pages-port': { type: 'string' },
    people: { type: 'string' },
  },
})
const people: OnPage[] = values.people ? JSON.parse(await readFile(values.people, 'utf8')) : []
const portOf = (text: string | undefined) => (text === undefined ? {} : { port: Number(text) })
const written = madeUpPages(people)
const pages =
  values['pages-port'] === undefined
    ? written
    : await startPages(written, Number(values['pages-port'])).catch((error) => {
        console.error(`The made-up pages cannot be opened this time: ${error.message}`)
        return written
      })
const apify = await startApify(undefined, { ...portOf(values['apify-port']), pages, runMs: 400 })
const openai = await startOpenAi(undefined, { ...portOf(values['openai-port']), answerMs: 300 })
console.log(JSON.stringify({ apify: { url: apify.url, token: apify.token }, openai: { url: openai.url, key: openai.key } }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(0))
// Nobody is to be left behind by whoever started it.
process.on('disconnect', () => process.exit(0))
