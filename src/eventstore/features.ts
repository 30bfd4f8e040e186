import gossipMessages from '@eventstore/db-client/generated/gossip_pb.js'
import featureMessages from '@eventstore/db-client/generated/serverfeatures_pb.js'
import sharedMessages from '@eventstore/db-client/generated/shared_pb.js'
import { oneRequest, type Receiver } from './grpc.ts'
import type { Call } from './grpc-call.ts'

/** The server whose protocol and behaviour the node follows. */
export const SERVER_VERSION = '23.10.6'

/** The flags that clients look for, as that server has them. */
const FLAGS: Record<string, string[]> = { read: ['position', 'events'], batchappend: ['deadline_duration'] }

/** One request, one answer. */
export function unary(answer: (call: Call) => Uint8Array) {
  return (call: Call): Receiver =>
    oneRequest(call, () => {
      call.sendMessage(answer(call))
      call.finish()
    })
}

/** Lists what the node offers, so that a client picks batch append and does not try what there is not. */
export function serverFeatures(paths: Iterable<string>): Uint8Array {
  const told = new featureMessages.SupportedMethods()
  told.setEventStoreServerVersion(SERVER_VERSION)
  told.setMethodsList(
    [...paths].map((path) => {
      const [service = '', method = ''] = path.slice(1).toLowerCase().split('/')
      const supported = new featureMessages.SupportedMethod()
      supported.setServiceName(service).setMethodName(method)
      if (service.endsWith('.streams')) supported.setFeaturesList(FLAGS[method] ?? [])
      return supported
    }),
  )
  return told.serializeBinary()
}

/** A cluster of one, at the address that the client reached it by: so it works behind any name. */
export function gossip(call: Call, instanceId: string, port: number): Uint8Array {
  const authority = new URL(`http://${call.headers[':authority'] ?? `127.0.0.1:${port}`}`)
  const endPoint = new gossipMessages.EndPoint()
  endPoint.setAddress(authority.hostname.replace(/^\[|\]$/g, '')).setPort(Number(authority.port || port))
  const member = new gossipMessages.MemberInfo()
  const id = new sharedMessages.UUID()
  id.setString(instanceId)
  member.setInstanceId(id).setTimeStamp(`${Date.now()}0000`).setIsAlive(true).setHttpEndPoint(endPoint)
  member.setState(gossipMessages.MemberInfo.VNodeState.LEADER)
  const cluster = new gossipMessages.ClusterInfo()
  cluster.setMembersList([member])
  return cluster.serializeBinary()
}
