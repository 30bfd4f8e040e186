/*
 * The base subject of RFC 5256 §2.1, by which a reply that names no other mail is joined to what it answers. Beyond the RFC, which knows English only,
 * the marks that mail programs put before subjects in other languages are known.
 */
const REPLY = 're|aw|antw|sv|odp|ynt|rif|ris|res|отв|ответ|回复|答复|回覆|返信'
const FORWARD = 'fwd?|wg|tr|enc|doorst|vb|vl|转发|轉寄|転送'

const mark = new RegExp(`^(?:(?<reply>${REPLY})|${FORWARD})\\s*(?:\\[[^[\\]]*\\]|\\(\\d+\\)|\\d+)?\\s*[:：]\\s*`, 'iu')
const blob = /^\[[^[\]]*\]\s*/
const markedLater = (text: string) => {
  let rest = text
  while (blob.test(rest)) rest = rest.replace(blob, '')
  return mark.exec(rest) ? rest : null
}

/** More than that is nobody's subject, and a text of marks alone would take its square of time. */
const MAX_CHARACTERS = 1_000

/**
 * @property base what is left when all marks of replies and forwards and mailing lists' names are taken away, in lower case; '' if nothing is left
 * @property isReply one of those marks said that it is a reply
 */
export function baseSubject(subject: string): { base: string; isReply: boolean } {
  let rest = subject.normalize('NFKC').slice(0, MAX_CHARACTERS).replaceAll(/\s+/g, ' ').trim().toLowerCase()
  let isReply = false
  for (let before = ''; before !== rest; ) {
    before = rest
    rest = rest.replace(/(?:\s*\(fwd\))+$/, '').trimStart()
    const marked = markedLater(rest)
    if (marked !== null) {
      isReply ||= mark.exec(marked)!.groups!['reply'] !== undefined
      rest = marked.replace(mark, '')
      continue
    }
    const withoutBlob = rest.replace(blob, '')
    if (withoutBlob !== '') rest = withoutBlob
    rest = rest.replace(/^\[fwd:(.*)\]$/, '$1').trim()
  }
  return { base: rest, isReply }
}
