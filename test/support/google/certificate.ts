import { type KeyObject, sign } from 'node:crypto'

/*
 * An X.509 certificate that signs itself (RFC 5280), as Google gives its public keys out under /oauth2/v1/certs; node:crypto reads such, but makes none.
 */
const der = (tag: number, ...contents: Buffer[]): Buffer => {
  const content = Buffer.concat(contents)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}
const sequence = (...contents: Buffer[]) => der(0x30, ...contents)
const objectId = (hex: string) => der(0x06, Buffer.from(hex, 'hex'))

/** @param name a common name in ASCII */
export function certificateOf(
  name: string,
  { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject },
  from: Date,
  to: Date,
): string {
  const sha256WithRsa = sequence(objectId('2a864886f70d01010b'), der(0x05))
  const commonName = sequence(der(0x31, sequence(objectId('550403'), der(0x0c, Buffer.from(name)))))
  const time = (date: Date) =>
    der(
      0x17,
      Buffer.from(
        `${date
          .toISOString()
          .slice(2)
          .replaceAll(/[-:T]|\..*/g, '')}Z`,
      ),
    )
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    sha256WithRsa,
    commonName,
    sequence(time(from), time(to)),
    commonName,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, privateKey))
  const text = sequence(body, sha256WithRsa, signature).toString('base64').replaceAll(/.{64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`
}
