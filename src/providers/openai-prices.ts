/** In US dollars a million tokens. */
export type Prices = { readonly inputPrice: number; readonly outputPrice: number }

/** What tokens cost, in millionths of a dollar: a price a million tokens is just that a token. */
export const costOf = ({ inputPrice, outputPrice }: Prices, inputTokens: number, outputTokens: number): number =>
  Math.ceil(inputTokens * inputPrice + outputTokens * outputPrice)

/** What a call may cost: tokens of text have some four bytes, so that two a token are more than enough, and the answer is as long as it may be. */
export const mostOf = (prices: Prices & { readonly maxOutputTokens: number }, sentBytes: number): number =>
  costOf(prices, Math.ceil(sentBytes / 2) + 500, prices.maxOutputTokens)
