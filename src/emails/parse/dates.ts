const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/** Hours east of Greenwich. The American ones are those of RFC 5322 §4.3; names that mean several zones are left out. */
const ZONES: Record<string, number> = {
  ...{ est: -5, edt: -4, cst: -6, cdt: -5, mst: -7, mdt: -6, pst: -8, pdt: -7, akst: -9, akdt: -8, hst: -10 },
  ...{ wet: 0, west: 1, cet: 1, cest: 2, mez: 1, mesz: 2, met: 1, mest: 2, eet: 2, eest: 3, msk: 3, jst: 9, kst: 9, nzst: 12, nzdt: 13 },
}

const ZONE = '(?:(?:gmt|utc?)?\\s*([+-]\\d{1,2}:?\\d{2})|\\b([a-z]{1,5})\\b)?'
const TIME = '(\\d{1,2})[:.](\\d{2})(?:[:.](\\d{2})(?:[.,]\\d+)?)?(?:\\s*([ap]m))?'
const dayFirst = new RegExp(`^(?:[a-z]+\\.?,?\\s*)?(\\d{1,2})[\\s-]*([a-z]{3,9})\\.?[\\s,-]*(\\d{2,4})(?:,?\\s+${TIME}\\s*${ZONE})?`)
const monthFirst = new RegExp(
  `^(?:[a-z]+\\.?,?\\s+)?([a-z]{3,9})\\.?\\s+(\\d{1,2}),?\\s+(?:(\\d{4}),?\\s+)?${TIME}\\s*${ZONE}(?:\\s*(\\d{4}))?`,
)
const iso = new RegExp(`^(\\d{4})-(\\d{2})-(\\d{2})(?:[t\\s]+${TIME}\\s*${ZONE})?`)

type Parts = (string | undefined)[]

/**
 * The instant that a header means: RFC 5322 §3.3 and its obsolete forms, what asctime writes, and ISO 8601. A zone that nobody knows counts as UTC, as that
 * RFC says; unlike `Date.parse`, nothing depends on the zone of this machine.
 * @returns milliseconds since 1970, or null when it is no date
 */
export function parseMailDate(header: string): number | null {
  const text = header
    .slice(0, 200)
    .toLowerCase()
    .replace(/\([^()]*\)/g, ' ')
    .replace(/\s+/g, ' ')
    .replace(/ ?: ?/g, ':')
    .trim()
  const first: Parts | null = dayFirst.exec(text)
  if (first) return instant(first[3], monthOf(first[2]), first[1], first.slice(4))
  const asctime: Parts | null = monthFirst.exec(text)
  if (asctime) return instant(asctime[3] ?? asctime[10], monthOf(asctime[1]), asctime[2], asctime.slice(4))
  const standard: Parts | null = iso.exec(text)
  if (standard) return instant(standard[1], Number(standard[2]) - 1, standard[3], standard.slice(4))
  return null
}

const monthOf = (name = ''): number => MONTHS.indexOf(name.slice(0, 3))

function instant(yearText: string | undefined, month: number, dayText: string | undefined, time: Parts): number | null {
  const [hours = '0', minutes = '0', seconds = '0', half, offset, zone] = time
  const year = fullYear(yearText)
  const day = Number(dayText)
  const hour = half ? (Number(hours) % 12) + (half === 'pm' ? 12 : 0) : Number(hours)
  const second = Math.min(Number(seconds), 59) // a leap second is the one before it
  if (year === null || month < 0 || month > 11 || hour > 23 || Number(minutes) > 59 || Number(seconds) > 60) return null
  const utc = new Date(Date.UTC(2000, month, day, hour, Number(minutes), second))
  utc.setUTCFullYear(year, month, day)
  if (utc.getUTCMonth() !== month || utc.getUTCDate() !== day) return null
  return utc.getTime() - offsetMinutes(offset, zone) * 60_000
}

/** Two and three digits as RFC 5322 §4.3 reads them. */
function fullYear(text: string | undefined): number | null {
  if (!text) return null
  const year = Number(text)
  if (text.length === 2) return year + (year < 50 ? 2000 : 1900)
  return text.length === 3 ? year + 1900 : year
}

function offsetMinutes(offset: string | undefined, zone: string | undefined): number {
  if (!offset) return (ZONES[zone ?? ''] ?? 0) * 60
  const digits = offset.replace(/\D/g, '').padStart(4, '0')
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))
  if (minutes > 14 * 60) return 0
  return offset.startsWith('-') ? -minutes : minutes
}
