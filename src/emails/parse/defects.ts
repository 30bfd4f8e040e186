/** What can be wrong with a mail that is nevertheless read. The codes are stored for ever. */
export type Defect =
  | 'from-missing'
  | 'from-unreadable'
  | 'message-id-missing'
  | 'date-missing'
  | 'date-unreadable'
  /** Before 1980, or more than two days after it came. */
  | 'date-absurd'
  /** Bytes beyond ASCII in headers that are not UTF-8. */
  | 'header-charset-guessed'
  /** A part names a charset that nobody knows. */
  | 'charset-unknown'
  /** A part's bytes do not fit the charset that it names, or it names none and is not UTF-8. */
  | 'charset-guessed'
  /** A multipart without parts: its bytes were taken as text. */
  | 'multipart-broken'
  /** Declared as binary: its line ends may have been changed. */
  | 'binary-part'
  /** An attachment was encoded inside the text, as before MIME. */
  | 'uuencoded'
  /** What is in a winmail.dat, in which Outlook hides text and attachments, cannot be read. */
  | 'tnef-not-unpacked'
  /** Longer than an event can hold; the raw mail has all of it. */
  | 'text-cut'
  | 'own-text-cut'
  | 'subject-cut'
  | 'recipients-cut'
  | 'references-cut'
  /** Larger than what is sanitised; the raw mail has all of it. */
  | 'html-cut'
  /** Made so that reading it would take for ever: there is no sanitised HTML. */
  | 'html-unreadable'
  /** Quotes and signature were too costly to tell; only lines marked as quotes were taken out. */
  | 'own-text-guessed'
