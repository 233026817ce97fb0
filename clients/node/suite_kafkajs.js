'use strict'
// kafkajs against a broker. It reads only in consumer groups, so that a reader is a group of one.

const {
  AssignerProtocol, CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel,
} = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')
const { Suite, equal, eventually, groupOfThree, leaveRequest, rejects, sampleRecords, sleep, unique } = require('./harness')

const zstd = new Promise((resolve) => ZstdCodec.run((codec) => resolve(new codec.Simple())))

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
})

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}
const SESSION_MS = 6000
const HEARTBEAT_MS = 500

const suite = new Suite('kafkajs')
const check = (name, run) => suite.check(name, run)

class Context {
  static async connect(bootstrap) {
    const context = new Context()
    context.bootstrap = bootstrap
    context.baseMs = Math.floor(Date.now() / 1000) * 1000 - 3600_000
    context.kafka = new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.NOTHING })
    context.admin = context.kafka.admin({ retry: { retries: 1 } })
    await context.admin.connect()
    return context
  }

  async topic(partitions = 1, configs = {}) {
    const topic = unique('kafkajs')
    await this.create(topic, partitions, configs)
    return topic
  }

  async create(topic, numPartitions = 1, configs = {}, replicationFactor = 1) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    await this.admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions, replicationFactor, configEntries }],
    })
  }

  /** Appends the records in one request, and returns the offset of the first. */
  async produce(topic, messages, { partition = 0, acks = -1, compression, ...options } = {}) {
    const producer = this.kafka.producer({ retry: { retries: 2 }, ...options })
    await producer.connect()
    try {
      const placed = messages.map((message) => ({ ...message, partition }))
      const answers = await producer.send({ topic, messages: placed, acks, compression })
      return acks === 0 ? undefined : Number(answers[0].baseOffset)
    } finally {
      await producer.disconnect()
    }
  }

  fill(topic, count, partition = 0) {
    return this.produce(topic, sampleRecords(count, this.baseMs), { partition })
  }

  /** A consumer that collects what it reads in `read`, from the beginning unless the group has committed. */
  async reader(topics, { groupId = unique('group'), autoCommit = false, seek, ...options } = {}) {
    const consumer = this.kafka.consumer({
      groupId, sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS, maxWaitTimeInMs: 200, ...options,
    })
    consumer.read = []
    await consumer.connect()
    await consumer.subscribe({ topics, fromBeginning: true })
    await consumer.run({
      autoCommit,
      eachMessage: async ({ topic, partition, message }) => consumer.read.push({ topic, partition, ...message }),
    })
    if (seek) consumer.seek(seek)
    return consumer
  }

  /** `count` records from the beginning, or from where `seek` says. */
  async read(topic, count, options) {
    const consumer = await this.reader([topic], options)
    try {
      await eventually(() => consumer.read.length >= count, `${count} records`, 20_000)
      equal(consumer.read.length, count, 'records read')
      return consumer.read
    } finally {
      await consumer.disconnect()
    }
  }
}

const content = (messages) =>
  messages.map(({ key, value, headers, timestamp }) => ({ key, value, headers: { ...headers }, timestamp }))

check('create and describe a topic', async (context) => {
  const topic = await context.topic(3, { 'retention.ms': '123456789' })
  const { topics: [described] } = await context.admin.fetchTopicMetadata({ topics: [topic] })
  equal(described.partitions.map((p) => p.partitionId).sort(), [0, 1, 2], 'partitions')
  described.partitions.forEach((p) => {
    equal(p.replicas, [p.leader], 'replicas')
    equal(p.isr, [p.leader], 'in-sync replicas')
  })
  equal((await context.admin.listTopics()).includes(topic), true, 'listed')
})

// One reader for all of these, as joining a group takes the broker's initial delay.
const combinations = Object.keys(CODECS).flatMap((codec) => [0, 1, -1].map((acks) => ({ codec, acks })))

async function sharedReader(context) {
  context.topics = await Promise.all(combinations.map(() => context.topic()))
  context.shared = await context.reader(context.topics)
}

combinations.forEach(({ codec, acks }, index) => {
  check(`produce and consume codec=${codec} acks=${acks === -1 ? 'all' : acks}`, async (context) => {
    if (!context.shared) await sharedReader(context)
    const topic = context.topics[index]
    const records = sampleRecords(40, context.baseMs, `${codec}-${acks}-`)
    await context.produce(topic, records, { acks, compression: CODECS[codec] })
    const read = () => context.shared.read.filter((message) => message.topic === topic)
    await eventually(() => read().length >= records.length, 'every record')
    equal(content(read()), content(records), 'records')
    equal(read().map((m) => Number(m.offset)), records.map((_, i) => i), 'offsets')
  })
})

check('the shared reader leaves', (context) => context.shared.disconnect())

check('idempotent produce', async (context) => {
  const topic = await context.topic()
  const producer = context.kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let i = 0; i < 20; i += 1) {
    const [{ baseOffset }] = await producer.send({ topic, messages: sampleRecords(10, context.baseMs, `${i}-`) })
    equal(Number(baseOffset), i * 10, 'offset')
  }
  await producer.disconnect()
  const expected = Array.from({ length: 20 }, (_, i) => sampleRecords(10, context.baseMs, `${i}-`)).flat()
  equal(content(await context.read(topic, 200)), content(expected), 'records')
})

check('small fetches across many batches', async (context) => {
  const topic = await context.topic()
  const records = sampleRecords(100, context.baseMs)
  for (let i = 0; i < 100; i += 10) await context.produce(topic, records.slice(i, i + 10))
  const read = await context.read(topic, 100, { maxBytesPerPartition: 500, maxBytes: 500 })
  equal(content(read), content(records), 'records')
})

check('list offsets: earliest, latest, by timestamp', async (context) => {
  const topic = await context.topic()
  await context.fill(topic, 20)
  const [{ low, high }] = await context.admin.fetchTopicOffsets(topic)
  equal([low, high], ['0', '20'], 'offsets')
  for (const [ms, offset] of [[0, '0'], [45, '5'], [190, '19'], [191, '20']]) {
    const [found] = await context.admin.fetchTopicOffsetsByTimestamp(topic, context.baseMs + ms)
    equal(found.offset, offset, `timestamp ${ms}`)
  }
})

check('consume from an offset', async (context) => {
  const topic = await context.topic()
  await context.fill(topic, 20)
  const read = await context.read(topic, 7, { seek: { topic, partition: 0, offset: '13' } })
  equal(read.map((m) => m.offset), ['13', '14', '15', '16', '17', '18', '19'], 'offsets')
})

check('a waiting consumer is woken by a produce', async (context) => {
  const topic = await context.topic()
  const consumer = await context.reader([topic], { maxWaitTimeInMs: 10_000, sessionTimeout: 30_000 })
  await sleep(5000)
  const started = Date.now()
  await context.fill(topic, 1)
  await eventually(() => consumer.read.length === 1, 'the record')
  equal(Date.now() - started < 5000, true, "woken before the fetch's own wait ended")
  await consumer.disconnect()
})

async function member(bootstrap, topic, groupId, clientId) {
  const kafka = new Kafka({ clientId, brokers: [bootstrap], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId, sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS, maxWaitTimeInMs: 200 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    console.log(`assigned ${(payload.memberAssignment[topic] || []).join(',')}`)
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) => console.log(`got ${partition} ${message.offset}`),
  })
  await leaveRequest()
  await consumer.disconnect()
  process.exit(0)
}

check('a group of three: one leaves, one dies', async (context) => {
  const topic = await context.topic(6)
  const produce = async (count) => {
    const records = []
    for (let partition = 0; partition < 6; partition += 1) {
      const base = await context.fill(topic, count, partition)
      for (let i = 0; i < count; i += 1) records.push(`${partition} ${base + i}`)
    }
    return records
  }
  await groupOfThree(__filename, [context.bootstrap, topic, unique('group')], 6, produce)
})

check('commit and resume', async (context) => {
  const [topic, groupId] = [await context.topic(), unique('group')]
  await context.fill(topic, 30)
  const first = await context.reader([topic], { groupId })
  await eventually(() => first.read.length === 30, 'every record')
  await first.commitOffsets([{ topic, partition: 0, offset: '10', metadata: 'ten' }])
  await first.disconnect()
  const [{ partitions: [committed] }] = await context.admin.fetchOffsets({ groupId, topics: [topic] })
  equal([committed.offset, committed.metadata], ['10', 'ten'], 'committed')
  const read = await context.read(topic, 20, { groupId })
  equal(read.map((m) => Number(m.offset)), Array.from({ length: 20 }, (_, i) => i + 10), 'read after the commit')
})

check('describe, list and delete groups, set and reset offsets', async (context) => {
  const [topic, groupId] = [await context.topic(), unique('group')]
  await context.fill(topic, 3)
  const consumer = await context.reader([topic], { groupId, autoCommit: true })
  await eventually(() => consumer.read.length === 3, 'every record')
  const { groups: [described] } = await context.admin.describeGroups([groupId])
  equal([described.state, described.members.length], ['Stable', 1], 'described')
  equal(AssignerProtocol.MemberAssignment.decode(described.members[0].memberAssignment).assignment, { [topic]: [0] }, 'assignment')
  const { groups } = await context.admin.listGroups()
  equal(groups.filter((g) => g.groupId === groupId), [{ groupId, protocolType: 'consumer' }], 'listed')
  await rejects(context.admin.deleteGroups([groupId]), 'KafkaJSDeleteGroupsError')
  await consumer.disconnect()
  const offset = async () => (await context.admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions[0].offset
  equal(await offset(), '3', 'committed')
  await context.admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '1' }] })
  equal(await offset(), '1', 'set')
  await context.admin.deleteGroups([groupId])
  const left = await context.admin.listGroups()
  equal(left.groups.filter((g) => g.groupId === groupId), [], 'listed after the delete')
})

check('create partitions', async (context) => {
  const topic = await context.topic()
  await context.admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  const count = async () => (await context.admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  await eventually(async () => (await count()) === 4, 'four partitions')
  await rejects(context.admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }), 'INVALID_PARTITIONS')
  equal(await context.fill(topic, 2, 3), 0, 'offset in the fourth partition')
})

check('describe and alter configs', async (context) => {
  const topic = await context.topic(1, { 'retention.ms': '123456789' })
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const described = async () => {
    const { resources: [{ configEntries }] } = await context.admin.describeConfigs({ resources: [resource] })
    return Object.fromEntries(configEntries.map((entry) => [entry.configName, entry.configValue]))
  }
  const before = await described()
  equal([before['retention.ms'], before['max.message.bytes']], ['123456789', '1048588'], 'configs')
  const configEntries = [{ name: 'max.message.bytes', value: '2000' }]
  await context.admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] })
  await eventually(async () => (await described())['max.message.bytes'] === '2000', 'the altered value')
  equal((await described())['retention.ms'], '604800000', 'the default of what was not named')
})

check('delete records', async (context) => {
  const topic = await context.topic()
  await context.fill(topic, 20)
  // kafkajs looks for the leader before it asks for the topic's metadata; the first call asks for it.
  await context.admin.fetchTopicOffsets(topic)
  await context.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '8' }] })
  const [{ low, high }] = await context.admin.fetchTopicOffsets(topic)
  equal([low, high], ['8', '20'], 'offsets')
  const read = await context.read(topic, 12)
  equal(Number(read[0].offset), 8, 'first offset')
})

check('describe the cluster', async (context) => {
  const { brokers, controller, clusterId } = await context.admin.describeCluster()
  equal(brokers.length, 1, 'brokers')
  equal(controller, brokers[0].nodeId, 'controller')
  equal(Boolean(clusterId), true, 'cluster id')
})

check('topics that may not be', async (context) => {
  const topic = await context.topic()
  equal(await context.admin.createTopics({ topics: [{ topic }] }), false, 'a topic that exists')
  await rejects(context.create('bad/name'), 'INVALID_TOPIC_EXCEPTION')
  await rejects(context.create(unique('t'), 1, {}, 3), 'INVALID_REPLICATION_FACTOR')
  await rejects(context.create(unique('t'), 1, { 'no.such.config': '1' }), 'INVALID_CONFIG')
  await rejects(context.admin.deleteTopics({ topics: [unique('nowhere')] }), 'UNKNOWN_TOPIC_OR_PARTITION')
})

check('offset out of range goes back to the beginning', async (context) => {
  const topic = await context.topic()
  await context.fill(topic, 3)
  const read = await context.read(topic, 3, { seek: { topic, partition: 0, offset: '100' } })
  equal(read.map((m) => m.offset), ['0', '1', '2'], 'offsets')
})

check('a record that is too large', async (context) => {
  const topic = await context.topic(1, { 'max.message.bytes': '1000' })
  await rejects(context.produce(topic, [{ value: Buffer.alloc(5000, 'x') }]), 'MESSAGE_TOO_LARGE')
  equal(await context.fill(topic, 1), 0, 'offset')
})

check('delete a topic', async (context) => {
  const topic = await context.topic()
  await context.admin.deleteTopics({ topics: [topic] })
  await eventually(async () => !(await context.admin.listTopics()).includes(topic), 'the topic is gone')
})

async function main([bootstrap, ...rest]) {
  if (bootstrap === 'member') return member(...rest)
  if (!bootstrap) throw new Error('usage: suite_kafkajs.js BOOTSTRAP [PART OF A NAME]')
  return suite.run(await Context.connect(bootstrap), rest[0])
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exit(1)
})
