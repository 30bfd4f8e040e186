import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ReadRecorder } from './reads.ts'

const operationOf = ({ routeOptions }: FastifyRequest) => (routeOptions.schema as { operationId?: string } | undefined)?.operationId ?? ''

/** Who reads, and by what. @param resource the stream of what is read */
export const readOf = (request: FastifyRequest, resource: string) => ({
  actor: request.caller.actor,
  operation: operationOf(request),
  resource,
  requestId: request.id,
})

/**
 * Records reads before their answers are sent: of each operation that is named, when it is about to show something. What cannot be recorded is not shown.
 * @param operations by operationId the category of what `{id}` names
 */
export function recordWhatIsRead(app: FastifyInstance, operations: Readonly<Record<string, string>>, reads: ReadRecorder): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const operation = operationOf(request)
    const isShown =
      Object.hasOwn(operations, operation) && request.method === 'GET' && (reply.statusCode === 200 || reply.statusCode === 206)
    if (!isShown) return
    const { id } = request.params as { id: string }
    try {
      await reads.record(readOf(request, `${operations[operation]}-${id}`))
    } catch (error) {
      // Nobody will read it to its end.
      ;(payload as { destroy?: () => void } | null)?.destroy?.()
      throw error
    }
  })
}
