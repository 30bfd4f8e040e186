import PostalMime, { type Header } from 'postal-mime'
import { headerTooLarge, type Limits, nestedTooDeep } from './limits.ts'

/** A part of a mail, decoded from its transfer encoding but not from its charset. */
export type MimePart = {
  /** In lower case, such as `text/plain`; what is no type at all is given as it would be without a Content-Type. */
  readonly type: string
  readonly params: Readonly<Record<string, string | undefined>>
  /** In lower case; '' without one. */
  readonly disposition: string
  readonly filename: string | undefined
  readonly contentId: string | undefined
  readonly encoding: string
  readonly content: Buffer
  readonly children: readonly MimePart[]
}

export type MimeMail = { readonly headers: readonly Header[]; readonly root: MimePart }

type Structured = { value: string; params: Record<string, string | undefined> }

/** What postal-mime 4.0.0 keeps of a part. It is not in its types, which is why the version is pinned and the tests hold it to this. */
type Node = {
  contentType: { parsed: Structured; multipart: string | false }
  contentDisposition: { parsed: Structured }
  contentTransferEncoding: { encoding: string }
  contentId?: string
  content: ArrayBuffer | null
  childNodes: Node[]
}

/**
 * Parses the structure of a mail with postal-mime. Its tree is used rather than its result, because there the text parts are decoded already:
 * broken charsets need their bytes, and so does a mail's identity, which must outlast versions of the library.
 * @throws MailRefused
 */
export async function parseMime(raw: Buffer, limits: Limits): Promise<MimeMail> {
  const parser = new PostalMime({
    forceRfc822Attachments: true,
    maxNestingDepth: limits.depth,
    maxHeadersSize: limits.headerBytes,
  })
  try {
    const { headers } = await parser.parse(raw)
    return { headers, root: toPart((parser as unknown as { root: Node }).root, true) }
  } catch (error) {
    if (/^Maximum MIME nesting depth/.test((error as Error).message)) throw nestedTooDeep(limits.depth)
    if (/^Maximum header size/.test((error as Error).message)) throw headerTooLarge(limits.headerBytes)
    throw error
  }
}

function toPart(node: Node, isRoot = false): MimePart {
  const { value, params } = node.contentType.parsed
  const disposition = node.contentDisposition.parsed
  const { encoding } = node.contentTransferEncoding
  const content = Buffer.from(node.content ?? new ArrayBuffer(0))
  // The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1); postal-mime leaves it with the part.
  const extra = !isRoot && encoding !== 'base64' && content.at(-1) === 10 ? 1 : 0
  return {
    type: typeOf(value, node.contentType.multipart),
    params,
    disposition: disposition.value.trim().toLowerCase(),
    filename: disposition.params['filename'] || params['name'] || undefined,
    contentId: node.contentId?.match(/^\s*<?([^<>]+?)>?\s*$/)?.[1],
    encoding,
    content: content.subarray(0, content.length - extra),
    children: node.childNodes.map((child) => toPart(child)),
  }
}

/** What is not written as `type/subtype` is text (RFC 2045 §5.2), like old mails' "Content-Type: text". */
function typeOf(value: string, multipart: string | false): string {
  if (multipart) return `multipart/${multipart.trim().toLowerCase()}`
  return value.match(/^\s*([\w!#$&^.+-]+\/[\w!#$&^.+-]+)/)?.[1]?.toLowerCase() ?? 'text/plain'
}
