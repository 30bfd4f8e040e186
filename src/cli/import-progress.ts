import { SingleBar } from 'cli-progress'

/** Shows how far an import is: a bar on a terminal, a line every few seconds elsewhere, nothing when a program reads along. */
export type Progress = {
  start(file: string, total: number, unit?: string): void
  done(rows: number): void
  note(text: string): void
  stop(): void
}

export function makeProgress(stream: NodeJS.WriteStream, { silent = false, lineSeconds = 5 } = {}): Progress {
  if (silent) return { start() {}, done() {}, note() {}, stop() {} }
  return stream.isTTY ? bar(stream) : textLines(stream, lineSeconds)
}

function bar(stream: NodeJS.WriteStream): Progress {
  const format = '{file} [{bar}] {value} of {total} {unit}, {eta_formatted} left {note}'
  const single = new SingleBar({ stream, format, hideCursor: false, barCompleteChar: '=', barIncompleteChar: ' ', clearOnComplete: true })
  return {
    start: (file, total, unit = 'rows') => single.start(total, 0, { file, unit, note: '' }),
    done: (rows) => single.update(rows, { note: '' }),
    note: (text) => (single.isActive ? single.update({ note: `(${text})` }) : stream.write(`${text}\n`)),
    stop: () => single.stop(),
  }
}

function textLines(stream: NodeJS.WriteStream, lineSeconds: number): Progress {
  let [file, total, unit, shownAt, noted] = ['', 0, '', 0, '']
  return {
    start(name, all, of = 'rows') {
      file = name
      total = all
      unit = of
      shownAt = performance.now()
    },
    done(rows) {
      noted = ''
      if (performance.now() - shownAt < lineSeconds * 1000) return
      shownAt = performance.now()
      stream.write(`${file}: ${rows} of ${total} ${unit}\n`)
    },
    note(text) {
      if (text !== noted) stream.write(`${file}: ${text}\n`)
      noted = text
    },
    stop() {},
  }
}
