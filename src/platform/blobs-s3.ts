import type { BlobStore } from './blob-store.ts'
import { Fault } from './fault.ts'
import { Unavailable } from './refusal.ts'
import { createS3Client, errorCode, type FilePart, patience, type S3Answer, type S3Request, type S3Settings } from './s3-requests.ts'

/** What is larger goes up in parts of this size, of which there may be 10,000: larger ones above 625 GiB. */
const PART_BYTES = 64 * 1024 * 1024
const MOST_PARTS = 10_000

/**
 * Blobs in a bucket of Amazon S3, or of a server that speaks its protocol and reads what it has written (most do: MinIO, R2, Ceph, Garage).
 * @param spool a folder of this machine, for what is on its way up
 */
export function openS3Blobs(
  settings: S3Settings,
  spool: string,
  { partBytes = PART_BYTES, ...waits } = { ...patience, partBytes: PART_BYTES },
): BlobStore {
  const client = createS3Client(settings, waits)
  const keyOf = (name: string) => settings.prefix + name

  /** @throws Unavailable for any answer that is not among the expected */
  const send = async (request: S3Request, ...expected: number[]): Promise<S3Answer> => {
    const answer = await client.send(request)
    // A bucket that is not there does not mean that a blob is missing.
    if (!expected.includes(answer.status) || errorCode(answer) === 'NoSuchBucket')
      throw new Unavailable(refusal(settings, answer), { retryAfterSeconds: 60 })
    return answer
  }

  const page = (prefix: string, limit: number, after?: string) =>
    ({
      method: 'GET',
      key: '',
      query: { 'list-type': '2', prefix: keyOf(prefix), 'max-keys': String(limit), ...(after && { 'continuation-token': after }) },
    }) as const

  const storeInParts = async (key: string, file: string, sizeBytes: number) => {
    const started = await send({ method: 'POST', key, query: { uploads: '' } }, 200)
    const uploadId = textOf('UploadId', started.body.toString('utf8'))
    if (uploadId === undefined) throw new Unavailable(`The blob store answered without an upload id for ${key}.`)
    try {
      const tags: string[] = []
      for (const part of partsOf(file, sizeBytes, partBytes)) {
        const query = { partNumber: String(tags.length + 1), uploadId }
        const { headers } = await send({ method: 'PUT', key, query, body: part }, 200)
        tags.push(headers.etag ?? '')
      }
      const list = tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`)
      const body = Buffer.from(`<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`)
      // 404: it was complete already, and only the answer of that was lost. What is there then, the next line finds out.
      const completed = await send({ method: 'POST', key, query: { uploadId }, body }, 200, 404)
      if (completed.status === 404) await send({ method: 'GET', key, headers: { range: 'bytes=0-0' } }, 206)
    } catch (error) {
      // Parts that belong to nothing cost money for ever. Should this fail too, the bucket's lifecycle rule is what is left.
      await client.send({ method: 'DELETE', key, query: { uploadId } }).catch(() => {})
      throw error
    }
  }

  return {
    spool,

    async store(name, file, sizeBytes) {
      const key = keyOf(name)
      if (sizeBytes > partBytes) await storeInParts(key, file, sizeBytes)
      else await send({ method: 'PUT', key, body: { file, start: 0, end: sizeBytes } }, 200)
      return false
    },

    async copy(from, to) {
      const headers = { 'x-amz-copy-source': `/${settings.bucket}/${keyOf(from)}` }
      const { status } = await client.send({ method: 'PUT', key: keyOf(to), headers })
      return status === 200
    },

    async settle() {},

    async read(name, start, end) {
      const range = `bytes=${start}-${end - 1}`
      const { status, headers, body } = await send({ method: 'GET', key: keyOf(name), headers: { range } }, 200, 206, 404, 416)
      if (status === 404) return null
      // There is nothing from there on.
      if (status === 416) return { bytes: Buffer.alloc(0), sizeBytes: 0 }
      if (status === 200) return { bytes: body.subarray(start, end), sizeBytes: body.length }
      return { bytes: body, sizeBytes: Number(/\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1]) }
    },

    async *list(prefix) {
      let after: string | undefined
      do {
        const { body } = await send(page(prefix, 1000, after), 200)
        const text = body.toString('utf8')
        for (const [, key] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) yield key!.slice(settings.prefix.length)
        after = textOf('IsTruncated', text) === 'true' ? textOf('NextContinuationToken', text) : undefined
      } while (after !== undefined)
    },

    async remove(name) {
      await send({ method: 'DELETE', key: keyOf(name) }, 200, 204, 404)
    },

    async check() {
      const answer = await client.send(page('', 1))
      if (answer.status !== 200) throw new Fault(refusal(settings, answer))
    },

    close: () => client.close(),
  }
}

function* partsOf(file: string, sizeBytes: number, partBytes: number): Generator<FilePart> {
  const bytes = Math.max(partBytes, Math.ceil(sizeBytes / MOST_PARTS))
  for (let start = 0; start < sizeBytes; start += bytes) yield { file, start, end: Math.min(start + bytes, sizeBytes) }
}

/** What stands in an element of S3's answers, which are flat where we look. */
const textOf = (element: string, xml: string): string | undefined =>
  new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1]?.replaceAll('&quot;', '"').replaceAll('&amp;', '&')

/** What S3 says no to is the settings' fault, or that of the rights they give. */
function refusal({ bucket, region }: S3Settings, answer: S3Answer): string {
  const code = errorCode(answer)
  const said = `The bucket ${bucket} answers ${answer.status}${code && ` ${code}`}`
  if (code === 'RequestTimeTooSkewed') return `${said}: set this machine's clock.`
  if (answer.status === 403)
    return `${said}: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may list, read, write and delete there.`
  if (answer.status === 404) return `${said}: make it, or name another one in BLOBS_URL.`
  return `${said}: check region (now ${region}) and endpoint in BLOBS_URL.`
}
