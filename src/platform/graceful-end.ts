import closeWithGrace from 'close-with-grace'
import type { Logger } from './log.ts'

/** How long a signal that came once may come again: a terminal's Ctrl-C reaches us directly and a second time through npm. */
const echoMs = 1000

type Options = {
  log: Logger
  /** What has to be done before the process ends. */
  close: () => Promise<void>
  /** How long that may take. */
  timeoutSeconds: number
  /** Whether to end when the process that started us does: where it is one that keeps signals to itself. */
  withParent?: boolean
  /** The last thing before a process is ended by a second signal. */
  atOnce?: () => void
}

/**
 * Ends the process in good order on SIGINT, SIGTERM or SIGHUP, with exit code 0; after an error that nobody caught, with 1. A second
 * signal, or SIGQUIT, ends it at once.
 * @returns `end` does the same for other reasons; only the first call counts
 */
export function endGracefully({ log, close, timeoutSeconds, withParent = false, atOnce }: Options): {
  end: (code?: number) => void
  isEnding: () => boolean
} {
  let since: number | undefined
  let exitCode = 0
  const grace = closeWithGrace(
    { delay: timeoutSeconds * 1000, logger: false, skip: ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'], onTimeout, onSecondError },
    async ({ err }) => {
      since ??= Date.now()
      if (err) log.fatal({ err }, 'ending after an error that nobody caught')
      await close().catch((err) => {
        log.error({ err }, 'ending was not clean')
        process.exit(1)
      })
      if (!err) process.exit(exitCode)
    },
  )
  const end = (code = 0) => {
    if (since !== undefined) return
    since = Date.now()
    exitCode = code
    void grace.close()
  }
  const killed = () => {
    atOnce?.()
    process.exit(130)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => (since !== undefined && Date.now() - since > echoMs ? killed() : end()))
  }
  process.on('SIGQUIT', killed)
  const parent = process.ppid
  if (withParent) setInterval(() => process.ppid !== parent && end(), 200).unref()
  return { end, isEnding: () => since !== undefined }

  function onSecondError(err: unknown) {
    log.fatal({ err }, 'an error that nobody caught, while ending')
  }

  function onTimeout() {
    log.error(`ending took longer than ${timeoutSeconds} s`)
    atOnce?.()
  }
}
