import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { Party } from '../../../schema/email.ts'
import { createParser, type ParseResult } from '../../../src/emails/parse/parser.ts'

const folder = new URL('../../../../shared/data/mail/', import.meta.url)
const skip = existsSync(folder) ? false : '../shared/data/mail is not here'

/** Read by a person in the files themselves: from, subject, how the text begins, names of attachments. */
const checked: Record<string, [from: string, subject: string, text: string, ...attachments: string[]]> = {
  'attachment_emails/attachment_nonascii_filename.eml': ['foo@example.com', 'testing', 'This is the first part.', 'ciële.txt'],
  'attachment_emails/attachment_only_email.eml': ['rfinnie@domain.dom', 'this message JUST contains an attachment', '', 'blah.gz'],
  'attachment_emails/attachment_pdf.eml': [
    'xxxx@xxxx.com',
    'Another PDF with 🎉 Unicode chars in it 🍿',
    'Just attaching another PDF, here,',
    'broken.pdf',
  ],
  'attachment_emails/attachment_with_base64_encoded_name.eml': [
    'xxxxxxxxx.xxxxxxx@gmail.com',
    'Fwd: Signed email causes file attachments',
    'We should not include these files or vcards',
    'This is a test.pdf',
  ],
  'attachment_emails/attachment_with_quoted_filename.eml': ['jeff@37signals.com', 'Eelanalüüsi päring', '', 'Eelanalüüsi päring.jpg'],
  'attachment_emails/attachment_message_rfc822.eml': ['foo@example.com', 'testing', 'This is the first part.', 'ForwardedMessage.eml'],
  'attachment_emails/attachment_message_rfc822_inline_image.eml': ['test@example.com', 'test', '', 'img.png', 'Testmail.eml'],
  'error_emails/bad_encoded_subject.eml': ['', 'TEST', 'TEST'],
  'error_emails/bad_subject.eml': ['carol@mysurvey.com', 'MySurvey.com: You have a survey waiting! 91123105', 'You have a survey waiting!'],
  'error_emails/cant_parse_from.eml': [
    'news@insideapple.apple.com',
    'Meet the new MacBook Pro family. Now includes 13-inch.',
    'From one solid piece of aluminum',
  ],
  'error_emails/content_transfer_encoding_text-html.eml': [
    'abhijit.862153drinnan@datavalet.com',
    'Re: We will help you refinance your home.',
    'Hello,\n\nYou have qualified for the lowest rate',
  ],
  'error_emails/content_transfer_encoding_with_8bits.eml': [
    'announcements@provantage.com',
    'The Original Advantage #e13011',
    '----------------------------------------\n\nDecember 04, 2001',
  ],
  'error_emails/content_transfer_encoding_x_uuencode.eml': [
    'lpeters@pacifier.com',
    'PGP Comments on RTO West Release of Dec. 14',
    'Attached are the comments of the Public Generating Pool.',
    'PGP_Cmts_on_12-14-01_Pkg.doc',
  ],
  'error_emails/empty_group_lists.eml': ['ceciledwards@sbcglobal.net', 'Western Union Swift Money Transfer', 'Attention Beneficiary:'],
  'error_emails/invalid_subject_characters.eml': [
    'info@formacaofrenetik.info',
    'Formação FrenetikPolis: Mega Campanha Final Verão | Cursos de Setembro',
    'TEST',
  ],
  'error_emails/missing_content_disposition.eml': ['redacted@example.com', 'Redacted', '', 'attachment-1.jpg'],
  'mime_emails/email_with_similar_boundaries.eml': ['xxxxxx@xxxxxxxx.xxx', 'Xxxxxx', 'Test', 'LOGO.png'],
  'mime_emails/raw_email7.eml': ['foo@example.com', 'testing', 'This is the first part.', 'test.rb', 'test.pdf', 'smime.p7s'],
  'mime_emails/raw_email_with_illegal_boundary.eml': ['email_test@me.nowhere', 'Testing outlook', 'Hello\nThis is an outlook test'],
  'mime_emails/raw_email_with_mimepart_without_content_type.eml': [
    'mailer-daemon@antivirus.uqam.ca',
    'Warning: could not send message for past 1 day',
    '    **********************************************\n    **      THIS IS A WARNING MESSAGE ONLY      **',
    'delivery-status.txt',
    'message.eml',
  ],
  'mime_emails/raw_email_with_nested_attachment.eml': [
    'jamis@37signals.com',
    'Testing attachments',
    'Here is a test of an attachment',
    'truncated.png',
    'smime.p7s',
  ],
  'multi_charset/japanese.eml': ['raasdnil@gmail.com', 'まみむめも', 'かきくえこ'],
  'multi_charset/japanese_attachment.eml': ['raasdnil@gmail.com', 'testing', 'testing', 'てすと.txt'],
  'multi_charset/japanese_attachment_long_name.eml': [
    'mikel@test.lindsaar.net',
    'まみむめも'.repeat(10),
    '',
    `${'かきくけこ'.repeat(5)}.txt`,
  ],
  'multi_charset/japanese_iso_2022.eml': ['raasdnil@gmail.com', 'まみむめも', 'すみません。'],
  'multi_charset/japanese_shift_jis.eml': ['xxxxxxx@docomo.ne.jp', 'test', 'あいうえお\n\nこのメールはテスト用のメールです。'],
  'multi_charset/ks_c_5601-1987.eml': ['from@example.com', 'test', '스티해'],
  'multipart_report_emails/report_530.eml': [
    'mailer-daemon@tttttt.com.au',
    'Returned mail: see transcript for details',
    'The original message was received at Mon, 24 Dec 2007',
    'delivery-status.txt',
    'headers.txt',
  ],
  'plain_emails/raw_email.eml': ['jamis@37signals.com', 'NOTE: 한국말로 하는 것', '대부분의 마찬가지로, 우리는 하나님을 믿습니다.'],
  'plain_emails/raw_email_with_partially_quoted_subject.eml': [
    'jamis@37signals.com',
    'Re: Test: "漢字" mid "漢字" tail',
    '대부분의 마찬가지로',
  ],
  'rfc2822/example10.eml': ['pete@silly.test', '', 'Testing.'],
  'rfc2822/example13.eml': ['jdoe@machine.example', 'Saying Hello', 'This is a message just to say hello.'],
  'rfc6532/utf8_headers.eml': ['jdöe@xn--mchine-bua.example', 'Säying Hello', 'body'],
}

const dates: Record<string, [date: string | null, defect?: string]> = {
  'error_emails/bad_date_header.eml': ['2010-12-11T03:20:19.000Z', 'date-unreadable'],
  'plain_emails/raw_email_bad_time.eml': ['2008-06-30T09:34:00.000Z', 'date-absurd'],
  'plain_emails/raw_email_with_bad_date.eml': ['2007-11-05T09:17:37.000Z', 'date-unreadable'],
  'error_emails/content_transfer_encoding_empty.eml': ['2001-11-14T03:07:21.000Z', 'date-missing'],
  'rfc2822/example04.eml': [null, 'date-absurd'],
  'rfc2822/example12.eml': ['1997-11-21T09:55:06.000Z'],
  'rfc2822/example13.eml': ['1997-11-21T15:55:06.000Z'],
}

const addresses = (parties: readonly Party[]): string => parties.map(({ address, raw }) => address ?? raw).join(' ')

t.test('the sample mails', { skip }, async (t) => {
  const parser = createParser({ secret: Buffer.from('a secret of tests') })
  t.teardown(() => parser.close())
  const names = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => name.endsWith('.eml')).sort()
  const results = new Map<string, ParseResult>()
  for (const name of names) results.set(name, await parser.parse(readFileSync(new URL(name, folder))))

  t.test('all 103 are accounted for', (t) => {
    t.equal(results.size, 103)
    const refused = [...results].filter(([, { ok }]) => !ok)
    t.ok(refused.length <= 2, JSON.stringify(refused))
    t.end()
  })

  for (const [name, [from, subject, text, ...attachments]] of Object.entries(checked)) {
    t.test(`${name} says what a person reads in it`, (t) => {
      const result = results.get(name)
      if (!result?.ok) return t.fail('it is refused')
      const { email } = result
      t.same(
        [addresses(email.from), email.subject, email.text.slice(0, text.length), ...email.attachments.map(({ name }) => name)],
        [from, subject, text, ...attachments],
      )
      if (text === '') t.equal(email.text, '')
      t.end()
    })
  }

  for (const [name, [date, defect]] of Object.entries(dates)) {
    t.test(`${name} has the date that it can have`, (t) => {
      const result = results.get(name)
      if (!result?.ok) return t.fail('it is refused')
      t.equal(result.email.date, date)
      t.same(
        result.email.defects.filter((code) => code.startsWith('date')),
        defect ? [defect] : [],
      )
      t.end()
    })
  }

  t.test('the same message in two files is one where only its way differs, and two where the content does', (t) => {
    const id = (name: string) => results.get(name)?.emailId
    t.equal(id('plain_emails/basic_email.eml'), id('plain_emails/basic_email_lf.eml'))
    t.equal(id('attachment_emails/attachment_pdf.eml'), id('attachment_emails/attachment_pdf_lf.eml'))
    t.not(id('attachment_emails/attachment_pdf.eml'), id('attachment_emails/attachment_pdf_non_ascii.eml'))
    t.not(id('rfc2822/example01.eml'), id('rfc2822/example06.eml'))
    t.end()
  })

  t.test('contents are what the hashes say', async (t) => {
    const { createHash } = await import('node:crypto')
    for (const [name, result] of results) {
      if (!result.ok) continue
      const hashes = result.attachmentContents.map((content) => createHash('sha256').update(content).digest('hex'))
      t.same(
        hashes,
        result.email.attachments.map(({ sha256 }) => sha256),
        name,
      )
      t.same(result.email.raw.sizeBytes, readFileSync(new URL(name, folder)).length)
    }
  })
})
