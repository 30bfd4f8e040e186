/** The settings by which a service uses these stand-ins, quick enough for tests. */
export const vendorEnv = (apify: { url: string; token: string }, openai: { url: string; key: string }): Record<string, string> => ({
  APIFY_URL: apify.url,
  APIFY_TOKEN: apify.token,
  OPENAI_URL: openai.url,
  OPENAI_API_KEY: openai.key,
  APIFY_PER_MINUTE: '100000',
  OPENAI_PER_MINUTE: '100000',
  ENRICHMENT_REQUEST_SECONDS: '1',
  ENRICHMENT_LOOK_SECONDS: '2',
  ENRICHMENT_PAUSE_SECONDS: '1',
})
