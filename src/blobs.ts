import { join } from 'node:path'
import type { Config } from './config.ts'
import { type Blobs, createBlobs } from './platform/blobs.ts'
import { openBlobFolder } from './platform/blobs-folder.ts'
import { openS3Blobs } from './platform/blobs-s3.ts'

/** Where mails and attachments are kept: the bucket that the settings name, else the folder `blobs` in the data folder. Reaches for nothing yet. */
export function openBlobs({ dataFolder, blobs, s3AccessKeyId, s3SecretAccessKey }: Config): Blobs {
  const folder = join(dataFolder, 'blobs')
  if (!blobs) return createBlobs(openBlobFolder(folder))
  const settings = { ...blobs, accessKeyId: s3AccessKeyId!, secretAccessKey: s3SecretAccessKey! }
  return createBlobs(openS3Blobs(settings, join(folder, 'incoming')))
}
