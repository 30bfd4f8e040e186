import { decoded, oneLine } from './headers.ts'

const NAMES: Record<string, string> = {
  'message/rfc822': 'message.eml',
  'text/calendar': 'invitation.ics',
  'application/ms-tnef': 'winmail.dat',
  'message/delivery-status': 'delivery-status.txt',
  'text/rfc822-headers': 'headers.txt',
  'text/plain': 'text.txt',
  'text/html': 'page.html',
  'text/vcard': 'contact.vcf',
}

const EXTENSIONS: Record<string, string> = { jpeg: 'jpg', plain: 'txt', 'octet-stream': 'bin', 'svg+xml': 'svg' }

/**
 * A name to show and to save under: without folders, controls and the marks that turn the reading direction (which make `exe.pdf` of `fdp.exe`);
 * made from the type where the mail gives none.
 */
export function attachmentName(written: string | undefined, type: string, index: number): string {
  const name = oneLine(decoded(written ?? '').replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ''))
    .replace(/^.*[/\\]/, '')
    .trim()
  if (name !== '' && !/^\.+$/.test(name)) return shortened(name)
  const subtype = type.slice(type.indexOf('/') + 1)
  const extension = EXTENSIONS[subtype] ?? (/^[a-z0-9]{1,5}$/.test(subtype) ? subtype : 'bin')
  return NAMES[type] ?? `attachment-${index + 1}.${extension}`
}

/** A long name loses its middle: the end says what kind of file it is. */
function shortened(name: string): string {
  const characters = [...name]
  return characters.length <= 80 ? name : `${characters.slice(0, 59).join('')}…${characters.slice(-20).join('')}`
}
