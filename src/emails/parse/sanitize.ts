import sanitizeHtml, { type Attributes, type IOptions, type Tag } from 'sanitize-html'

const layout = ['align', 'valign', 'width', 'height', 'bgcolor', 'border', 'cellpadding', 'cellspacing']
const anywhere = ['style', 'dir', 'lang', 'title']

const options: IOptions = {
  allowedTags: [
    ...[
      'a',
      'abbr',
      'address',
      'article',
      'b',
      'bdi',
      'bdo',
      'big',
      'blockquote',
      'br',
      'caption',
      'center',
      'cite',
      'code',
      'col',
      'colgroup',
    ],
    ...[
      'dd',
      'del',
      'dfn',
      'div',
      'dl',
      'dt',
      'em',
      'figcaption',
      'figure',
      'font',
      'footer',
      'h1',
      'h2',
      'h3',
      'h4',
      'h5',
      'h6',
      'header',
      'hr',
      'i',
    ],
    ...[
      'img',
      'ins',
      'kbd',
      'li',
      'main',
      'mark',
      'ol',
      'p',
      'pre',
      'q',
      's',
      'samp',
      'section',
      'small',
      'span',
      'strike',
      'strong',
      'sub',
      'sup',
    ],
    ...['table', 'tbody', 'td', 'tfoot', 'th', 'thead', 'time', 'tr', 'tt', 'u', 'ul', 'var', 'wbr'],
  ],
  allowedAttributes: {
    '*': anywhere,
    a: ['href', 'rel', 'target'],
    img: ['src', 'data-remote-src', 'alt', 'width', 'height', 'align', 'border'],
    font: ['color', 'face', 'size'],
    ol: ['start', 'type'],
    ul: ['type'],
    col: ['span', ...layout],
    colgroup: ['span', ...layout],
    td: ['colspan', 'rowspan', ...layout],
    th: ['colspan', 'rowspan', 'scope', ...layout],
    ...Object.fromEntries(['table', 'tbody', 'thead', 'tfoot', 'tr', 'div', 'p', 'hr'].map((tag) => [tag, layout])),
  },
  // Addresses are checked below; these are what is left of them.
  allowedSchemes: ['http', 'https', 'mailto', 'cid'],
  allowedSchemesByTag: { img: ['cid', 'data'] },
  allowProtocolRelative: false,
  // Their content is no text to read.
  nonTextTags: ['script', 'style', 'textarea', 'option', 'noscript', 'title', 'svg', 'math', 'template', 'xmp', 'plaintext'],
  disallowedTagsMode: 'discard',
  enforceHtmlBoundary: false,
  parseStyleAttributes: false,
  nestingLimit: 300,
  transformTags: { a: safeLink, img: safeImage, '*': safeStyle },
}

/**
 * HTML that shows what a mail shows and does nothing: no script, form or frame, nothing that is loaded from elsewhere, links only to http, https and mailto.
 * The address of a remote picture is kept in `data-remote-src`; `src="cid:…"` names an attachment by its `contentId`.
 */
export const sanitize = (html: string): string => sanitizeHtml(html, options)

function safeLink(tagName: string, { href, ...attributes }: Attributes): Tag {
  const address = webAddress(href, /^(?:https?:\/\/|mailto:)/i)
  if (!address) return { tagName, attribs: without(attributes, ['rel', 'target']) }
  return { tagName, attribs: { ...attributes, href: address, rel: 'noopener noreferrer nofollow', target: '_blank' } }
}

function safeImage(tagName: string, { src, 'data-remote-src': _, ...attributes }: Attributes): Tag {
  const inline = webAddress(src, /^(?:cid:|data:image\/(?:png|gif|jpe?g|webp);base64,[a-z0-9+/=]*$)/i)
  if (inline) return { tagName, attribs: { ...attributes, src: inline } }
  const remote = webAddress(src, /^https?:\/\//i)
  return { tagName, attribs: { ...attributes, ...(remote && { 'data-remote-src': remote }) } }
}

/** The address as browsers read it, which drop spaces and controls around and line ends and tabs in it (WHATWG URL), if it is of such a kind. */
function webAddress(written: string | undefined, kind: RegExp): string | null {
  if (!written) return null
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const address = written.replace(/^[\0- ]+|[\0- ]+$|[\0-\x1f]/g, '')
  return kind.test(address) ? address : null
}

const without = (attributes: Attributes, names: readonly string[]): Attributes =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)))

/** What styles may say. Nothing that places something over the rest of the page, nothing that loads. */
const property =
  /^(?:(?:background-)?color|background|font(?:-(?:family|size|style|weight|variant))?|text-(?:align|decoration|indent|transform)|line-height|letter-spacing|word-(?:break|spacing|wrap)|white-space|vertical-align|direction|(?:margin|padding)(?:-(?:top|right|bottom|left))?|(?:max-|min-)?(?:width|height)|border(?:-(?:top|right|bottom|left))?(?:-(?:color|style|width|radius))?|border-(?:collapse|spacing)|list-style-type|table-layout|float|clear)$/
/** No backslash (CSS escapes), no address, no function but colours. */
const value = /^(?:[\w\s#%.,'"!-]|(?:rgb|hsl)a?\([\d\s.,%/]*\))*$/i

function safeStyle(tagName: string, attributes: Attributes): Tag {
  const { style, ...others } = attributes
  if (style === undefined) return { tagName, attribs: attributes }
  const safe = style.split(';').flatMap((declaration) => {
    const colon = declaration.indexOf(':')
    const name = declaration.slice(0, colon).trim().toLowerCase()
    const says = declaration.slice(colon + 1).trim()
    // A negative margin moves text over what is not the mail's.
    const allowed = colon > 0 && property.test(name) && value.test(says) && !(name.startsWith('margin') && says.includes('-'))
    return allowed ? [`${name}:${says}`] : []
  })
  return { tagName, attribs: safe.length ? { ...others, style: safe.join(';') } : others }
}
