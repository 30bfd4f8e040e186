import type { FastifyReply } from 'fastify'

/** What a person reads who comes back from the provider. @property status of HTTP */
export type Page = { readonly status: number; readonly title: string; readonly text: string }

const again = 'Begin again: ask for another consent address.'

export const pages = {
  connected: (address: string): Page => ({
    status: 200,
    title: 'The mailbox is connected',
    text: `SmartCRM now fetches the mail of ${address}. You can close this page.`,
  }),
  stateUnknown: {
    status: 400,
    title: 'This page cannot be used',
    text: `Its address is not one that we gave out, or it is older than 15 minutes. ${again}`,
  },
  stateUsed: { status: 409, title: 'This page was used already', text: `Each consent address is good once. ${again}` },
  denied: {
    status: 403,
    title: 'No consent was given',
    text: `Nothing was connected. Should that have been a mistake: ${again.toLowerCase()}`,
  },
  refused: { status: 400, title: 'Google did not ask for consent', text: `Nothing was connected. ${again}` },
  codeUnknown: { status: 400, title: 'Google does not take this consent any more', text: `Nothing was connected. ${again}` },
  scopeMissing: {
    status: 403,
    title: 'The consent is not enough',
    text: `SmartCRM has to be allowed to read mail: leave that box ticked. ${again}`,
  },
  otherAddress: (address: string, asked: string): Page => ({
    status: 409,
    title: 'This is another mailbox',
    text: `Consent was asked for ${asked}, and given for ${address}. Nothing was connected. ${again}`,
  }),
  away: (sentence: string): Page => ({
    status: 503,
    title: 'Google cannot be asked now',
    text: `${sentence} Nothing was connected. ${again}`,
  }),
} as const

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** Nothing runs and nothing is loaded there; and the address, which holds a code, is told to nobody. */
export const sendPage = (reply: FastifyReply, { status, title, text }: Page): FastifyReply =>
  reply
    .code(status)
    .headers({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy':
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    .serializer(String)
    .send(
      `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)} – SmartCRM</title>` +
        `<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}</style><h1>${escaped(title)}</h1><p>${escaped(text)}</p></html>\n`,
    )
