import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from '../apify/apify.ts'

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const html = ({ title = '', text }: Page) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title></head>
<body><h1>${escaped(title)}</h1>
${text
  .split('\n')
  .map((line) => `<p>${escaped(line)}</p>`)
  .join('\n')}
</body></html>
`

/**
 * Serves made-up pages on loopback, each below `/<host of its site>/`, so that whoever sees one named as a source can open it: nobody has registered
 * those hosts. @returns the same pages at the addresses where they are served, by the ones of their sites, as an actor finds them that was redirected
 */
export async function startPages(pages: Record<string, Page>, port = 0) {
  const byPath = new Map(Object.entries(pages).map(([address, page]) => [`/${new URL(address).hostname}/`, page]))
  const server = createServer(({ url = '/' }, response) => {
    const page = byPath.get(new URL(url, 'http://pages').pathname)
    response.writeHead(page ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' })
    response.end(html(page ?? { url, title: 'No such page', text: '' }))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.fromEntries(
    Object.entries(pages).map(([address, page]) => [address, { ...page, url: `${base}/${new URL(address).hostname}/` }]),
  )
}
