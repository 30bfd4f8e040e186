/** All that SmartCRM asks for: to read, and to change nothing. */
export const GMAIL_SCOPE = 'https://www.googleapis.com/auth/gmail.readonly'
