/** In quota units, as they are since May 2026: https://developers.google.com/workspace/gmail/api/reference/quota */
export const gmailPrices = {
  'messages.get': 20,
  'messages.list': 5,
  'history.list': 2,
  getProfile: 1,
  'labels.list': 1,
  'settings.sendAs.list': 1,
  watch: 100,
  stop: 50,
}
export type GmailPrices = typeof gmailPrices
