import { domainToASCII } from 'node:url'
import { freeMailDomains } from './free-mail-domains.ts'

/** The part behind the @ of an address in its normal form. */
export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1)

/** Whether a domain is one of these, or below one of them. */
export function isWithin(domain: string, domains: { has(domain: string): boolean }): boolean {
  for (let at = domain; at.includes('.'); at = at.slice(at.indexOf('.') + 1)) if (domains.has(at)) return true
  return false
}

/** Whether anybody can have an address there. */
export const isFreeMail = (domain: string): boolean => isWithin(domain, freeMailDomains)

/** The normal form of a domain as it is written, also as `@example.com` or `*.example.com`; null when it is none. */
export function normalizeDomain(text: string): string | null {
  const domain = domainToASCII(
    text
      .trim()
      .replace(/^(\*\.|\*?@)/, '')
      .toLowerCase(),
  )
  return domain.length <= 253 && /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(domain) ? domain : null
}
