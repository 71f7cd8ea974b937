// MQTT.js against a broker: node mqttjs.mjs HOST PORT.

import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import mqtt from 'mqtt'

const DEADLINE_MS = 10_000
const LARGE = Buffer.from(Array.from({ length: 204_800 }, (_, at) => at % 256))
const UTF8_TOPIC = 'prüfung/温度/датчик/🌡'
const SESSION_TAKEN_OVER = 0x8e
const VERSIONS = { v31: 3, v311: 4, v5: 5 }
const [host, port] = process.argv.slice(2)

const everyVersion = Object.keys(VERSIONS).map((version) => [version])
const everyQoS = everyVersion.flatMap(([version]) => [0, 1, 2].map((qos) => [version, qos]))
const everyKeptQoS = everyQoS.filter(([, qos]) => qos > 0)
const checks = []

/** Registers a check once for each list of arguments. */
function check(label, cases, run) {
  for (const values of cases) checks.push({ label: [label, ...values].join('_'), values, run })
}

function expect(got, want, what) {
  if (!isDeepStrictEqual(got, want)) throw new Error(`${what}: ${brief(got)} instead of ${brief(want)}`)
}

function brief(value) {
  return Buffer.isBuffer(value) && value.length > 60 ? `${value.length} bytes` : String(JSON.stringify(value))
}

/** Short enough for MQTT 3.1, which allows 23 bytes. */
function clientId(name) {
  return 'c' + createHash('sha256').update(name).digest('hex').slice(0, 16)
}

/** Things that happen, to be awaited one after the other whether they came before or come later. */
class Queue {
  #values = []
  #waiting = []

  put(value) {
    const next = this.#waiting.shift()
    if (next) next(value)
    else this.#values.push(value)
  }

  get size() {
    return this.#values.length
  }

  async take(what) {
    if (this.#values.length > 0) return this.#values.shift()
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no ${what}`)), DEADLINE_MS)
    })
    const next = new Promise((resolve) => this.#waiting.push(resolve))
    return Promise.race([next, late]).finally(() => clearTimeout(timer))
  }
}

const open = new Set()

class Peer {
  messages = new Queue()
  ends = new Queue()

  static async connect(version = 'v5', options = {}) {
    const peer = new Peer()
    const level = VERSIONS[version]
    peer.client = mqtt.connect({
      host,
      port: Number(port),
      protocolVersion: level,
      protocolId: level === 3 ? 'MQIsdp' : 'MQTT',
      clientId: clientId(`${process.hrtime.bigint()}`),
      reconnectPeriod: 0,
      ...options,
    })
    open.add(peer.client)
    const accepted = new Queue()
    peer.client.on('message', (topic, payload, packet) => peer.messages.put({ topic, payload, packet }))
    peer.client.on('disconnect', (packet) => peer.ends.put(packet.reasonCode))
    peer.client.on('close', () => peer.ends.put(undefined))
    peer.client.on('error', (error) => accepted.put(error))
    peer.client.on('connect', (connack) => accepted.put(connack))
    peer.connack = await accepted.take('CONNACK')
    if (peer.connack instanceof Error) throw peer.connack
    return peer
  }

  async subscribe(filter, qos = 2, options = {}) {
    const grants = await this.client.subscribeAsync(filter, { qos, ...options })
    expect(grants.map((grant) => grant.qos), [qos], 'granted QoS')
    return this
  }

  publish(topic, payload, qos = 1, options = {}) {
    return this.client.publishAsync(topic, payload, { qos, ...options })
  }

  async nextIs(topic, payload, qos, retain = false) {
    const { topic: gotTopic, payload: gotPayload, packet } = await this.messages.take('message')
    expect(gotTopic, topic, 'topic')
    expect(gotPayload, Buffer.from(payload), 'payload')
    expect([packet.qos, packet.retain], [qos, retain], 'QoS and RETAIN')
    return packet.properties ?? {}
  }

  loseConnection() {
    this.client.stream.destroy()
  }

  end() {
    return this.client.endAsync()
  }
}

check('delivers', everyQoS, async (name, version, qos) => {
  const subscriber = await Peer.connect(version)
  const publisher = await Peer.connect(version)
  await subscriber.subscribe(name)
  await publisher.publish(name, 'hello', qos)
  await subscriber.nextIs(name, 'hello', qos)
})

check('keeps_order', everyQoS, async (name, version, qos) => {
  const peer = await Peer.connect(version)
  await peer.subscribe(name)
  // MQTT.js sends whatever it is given, so the Receive Maximum is ours to keep.
  const burst = Math.min(20, peer.connack.properties?.receiveMaximum ?? 20)
  for (let start = 0; start < 300; start += burst) {
    const numbers = Array.from({ length: burst }, (_, at) => String(start + at))
    await Promise.all(numbers.map((number) => peer.publish(name, number, qos)))
    for (const number of numbers) await peer.nextIs(name, number, qos)
  }
})

check('retained', everyQoS, async (name, version, qos) => {
  const publisher = await Peer.connect(version)
  await publisher.subscribe(name)
  await publisher.publish(name, 'kept', qos, { retain: true })
  await publisher.nextIs(name, 'kept', qos)
  const subscriber = await Peer.connect(version)
  await subscriber.subscribe(name)
  await subscriber.nextIs(name, 'kept', qos, true)
})

check('will', everyQoS, async (name, version, qos) => {
  const heir = await Peer.connect(version)
  await heir.subscribe(name)
  const dying = await Peer.connect(version, { will: { topic: name, payload: Buffer.from('gone'), qos } })
  dying.loseConnection()
  await heir.nextIs(name, 'gone', qos)
})

check('kept_while_offline', everyKeptQoS, async (name, version, qos) => {
  const session = { clientId: clientId(name), clean: false }
  if (version === 'v5') session.properties = { sessionExpiryInterval: 3600 }
  const first = await Peer.connect(version, session)
  await first.subscribe(name)
  await first.end()
  const publisher = await Peer.connect(version)
  for (let number = 0; number < 50; number += 1) await publisher.publish(name, String(number), qos)
  const back = await Peer.connect(version, session)
  // MQTT 3.1 has no such flag in its CONNACK.
  if (version !== 'v31') expect(back.connack.sessionPresent, true, 'session present when back')
  for (let number = 0; number < 50; number += 1) await back.nextIs(name, String(number), qos)
})

check('large_payload', everyQoS, async (name, version, qos) => {
  const peer = await Peer.connect(version)
  await peer.subscribe(name)
  await peer.publish(name, LARGE, qos)
  await peer.nextIs(name, LARGE, qos)
})

check('empty_payload', everyQoS, async (name, version, qos) => {
  const peer = await Peer.connect(version)
  await peer.subscribe(name)
  await peer.publish(name, '', qos)
  await peer.nextIs(name, '', qos)
})

check('utf8_topic', everyVersion, async (name, version) => {
  const peer = await Peer.connect(version)
  await peer.subscribe(`${name}/#`)
  await peer.publish(`${name}/${UTF8_TOPIC}`, 'grüße')
  await peer.nextIs(`${name}/${UTF8_TOPIC}`, 'grüße', 1)
})

check('session_takeover', [['v311'], ['v5']], async (name, version) => {
  const old = await Peer.connect(version, { clientId: clientId(name) })
  const taking = await Peer.connect(version, { clientId: clientId(name) })
  const code = await old.ends.take('end of the old connection')
  if (version === 'v5') expect(code, SESSION_TAKEN_OVER, 'reason code for the old connection')
  await taking.subscribe(name)
  await taking.publish(name, 'still here')
  await taking.nextIs(name, 'still here', 1)
})

check('shared_subscription_serves_one_member_each', [[0], [1], [2]], async (name, qos) => {
  const one = await Peer.connect()
  const other = await Peer.connect()
  other.client.on('message', (topic, payload) => one.messages.put({ topic, payload }))
  for (const member of [one, other]) await member.subscribe(`$share/group/${name}`, qos)
  const publisher = await Peer.connect()
  const numbers = Array.from({ length: 100 }, (_, number) => number)
  for (const number of numbers) await publisher.publish(name, String(number), qos)
  const got = []
  while (got.length < numbers.length) got.push(Number((await one.messages.take('message')).payload))
  expect(got.sort((a, b) => a - b), numbers, 'messages of both members together')
  expect(one.messages.size, 0, 'copies too many')
})

check('properties_are_passed_on', [[0], [1], [2]], async (name, qos) => {
  const sent = {
    payloadFormatIndicator: true,
    responseTopic: `${name}/answer`,
    correlationData: Buffer.from([0, 7, 255]),
    contentType: 'text/plain',
  }
  const peer = await Peer.connect()
  await peer.subscribe(name)
  const userProperties = { colour: 'green', size: ['1', '2'] }
  await peer.publish(name, '7', qos, { properties: { ...sent, userProperties, messageExpiryInterval: 100 } })
  const { messageExpiryInterval: left, userProperties: got, ...properties } = await peer.nextIs(name, '7', qos)
  expect(properties, sent, 'properties')
  expect({ ...got }, userProperties, 'user properties')
  expect(left > 90 && left <= 100, true, `${left} s left of 100`)
})

check('subscription_identifier_comes_back', [[]], async (name) => {
  const peer = await Peer.connect()
  await peer.subscribe(name, 1, { properties: { subscriptionIdentifier: 4711 } })
  await peer.publish(name, '7')
  expect([(await peer.nextIs(name, '7', 1)).subscriptionIdentifier].flat(), [4711], 'subscription identifiers')
})

check('topic_alias_stands_for_its_topic', [[0], [1], [2]], async (name, qos) => {
  const publisher = await Peer.connect('v5', { autoAssignTopicAlias: true })
  expect(publisher.connack.properties?.topicAliasMaximum > 0, true, 'the broker takes topic aliases')
  // The broker may use aliases of its own towards this one.
  const subscriber = await Peer.connect('v5', { properties: { topicAliasMaximum: 4 } })
  await subscriber.subscribe(`${name}/+`)
  for (let round = 0; round < 3; round += 1) {
    for (const topic of ['a', 'b', 'c', 'd', 'e', 'f']) {
      await publisher.publish(`${name}/${topic}`, `${topic}${round}`, qos)
      await subscriber.nextIs(`${name}/${topic}`, `${topic}${round}`, qos)
    }
  }
})

let failed = 0
for (const { label, values, run } of checks) {
  try {
    await run(`mqttjs${process.pid}/${label}`, ...values)
    console.log(`ok ${label}`)
  } catch (error) {
    failed += 1
    console.log(`FAIL ${label}: ${error.message}`)
  }
  for (const client of open) client.end(true)
  open.clear()
}
console.log(`${checks.length - failed} ok, ${failed} failed`)
process.exit(failed ? 1 : 0)
