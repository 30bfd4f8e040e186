type Ready = { url: string; dataFolder: string; apiKey: string }

/** What a newcomer can look at. */
export const demoWelcome = ({ url, dataFolder, apiKey }: Ready): string => `
SmartCRM is ready: a demo, with the mail of somebody who does not exist.

  Address   ${url}   (read and try the API: ${url}/reference)
  Data      ${dataFolder}   (delete it to begin anew)
  API key   ${apiKey}

  Its 2,000 mails come in over the next minute, and contacts of those it was written to, looked up on
  made-up pages. Look at it:

  KEY=${apiKey}
  curl "${url}/v1/mailboxes" -H "Authorization: Bearer $KEY"                     how far it is, every message accounted for
  curl "${url}/v1/contacts?sort=-lastEmailAt" -H "Authorization: Bearer $KEY"    who wrote last
  curl "${url}/v1/enrichment" -H "Authorization: Bearer $KEY"                    what was looked up about them, and its price
  curl "${url}/v1/contacts/CONTACT/enrichment" -H "Authorization: Bearer $KEY"   each value with the page or mail it is from, to be opened
  curl "${url}/v1/emails?q=calibration" -H "Authorization: Bearer $KEY"          full text
  curl "${url}/v1/threads" -H "Authorization: Bearer $KEY"                       conversations
  curl "${url}/v1/events?limit=20" -H "Authorization: Bearer $KEY"               the log that all of it is made from

  Stop      Ctrl-C
`
