import type { Config } from './config.ts'
import { awsKms } from './platform/kms-aws.ts'
import { fileMasterKey, givenMasterKey, kmsMasterKey, type MasterKeySource } from './platform/master-key.ts'
import type { MasterKeySetting } from './settings.ts'

/** For the person who starts it all, once. */
export const MASTER_KEY_MADE =
  'A master key was made, which wraps the keys of all personal data. Keep a copy of it, and never with the backups: who has both can read everything; without it nobody can read anything personal.'

type Settings = Pick<Config, 'masterKey' | 'dataFolder' | 's3AccessKeyId' | 's3SecretAccessKey'>

/** Where the settings say that the master key is: given, in a KMS, else in a file in the data folder. */
export const masterKeySource = (config: Settings, onMade?: (file: string) => void): MasterKeySource =>
  config.masterKey === undefined ? fileMasterKey(config.dataFolder, onMade) : sourceOf(config.masterKey, config)

/** @param name of the setting */
export function sourceOf(
  setting: MasterKeySetting,
  { s3AccessKeyId, s3SecretAccessKey }: Pick<Settings, 's3AccessKeyId' | 's3SecretAccessKey'>,
  name?: string,
): MasterKeySource {
  if (Buffer.isBuffer(setting)) return givenMasterKey(setting, name)
  return kmsMasterKey(awsKms(setting, { accessKeyId: s3AccessKeyId!, secretAccessKey: s3SecretAccessKey! }))
}
