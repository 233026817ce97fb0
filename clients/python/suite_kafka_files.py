"""Makes a broker write every kind of file that it has; what it wrote is then read by Kafka's DumpLogSegments.

Segments are small and index entries dense, so that there are many files with many entries each.
"""

import random
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, ResourceType

import harness
from confluent_context import Context, content, result, take
from harness import CODECS, equal, eventually, unique

suite = harness.Suite("kafka-files")

SMALL = {"segment.bytes": "1048576", "index.interval.bytes": "512"}
# Jumps of a minute between records make a segment of a few of them.
SHORT = {"segment.ms": "300000", "index.interval.bytes": "1", "file.delete.delay.ms": "600000"}


def noise(count, size, base_ms, step_ms=10):
    """Records that no codec makes smaller; their timestamps now and then go back."""
    generator = random.Random(count)
    return [
        (f"key-{i}".encode(), generator.randbytes(size), [("n", b"1")], base_ms + (i - i % 7 // 6 * 3) * step_ms)
        for i in range(count)
    ]


def written(context, topic, records, **options):
    offsets = context.produce(topic, records, **options)
    equal(offsets, sorted(offsets), "offsets")
    equal(len(offsets), len(records), "records")


def codec_segments(context, codec):
    topic = context.topic(configs=SMALL)
    records = noise(640, 4000, context.base_ms)
    written(context, topic, records, compression_type=codec, batch_num_messages=20)
    equal(content(context.read(topic, len(records))), records, "records")


for codec in CODECS:
    suite.check(f"segments full of {codec}", codec)(codec_segments)


@suite.check("segments that time ends, of idempotent producers")
def _(context):
    topic = context.topic(configs=SHORT)
    for _ in range(3):
        records = noise(60, 50, context.base_ms - 3_600_000, 60_000)
        written(context, topic, records, enable_idempotence=True, batch_num_messages=2)


@suite.check("transactions that commit and that abort")
def _(context):
    topic = context.topic(configs=SHORT)
    producer = context.producer(transactional_id=unique("transactional"), batch_num_messages=2)
    producer.init_transactions(20)
    for round in range(6):
        producer.begin_transaction()
        for key, value, headers, timestamp in noise(12, 50, context.base_ms - 3_600_000, 60_000):
            producer.produce(topic, value, key, partition=0, timestamp=timestamp, headers=headers)
        equal(producer.flush(20), 0, "messages not delivered in time")
        if round % 2 == 0:
            producer.abort_transaction(20)
        else:
            producer.commit_transaction(20)


@suite.check("timestamps of the broker, its own compression, compaction")
def _(context):
    configs = {"message.timestamp.type": "LogAppendTime", "compression.type": "zstd", "cleanup.policy": "compact"}
    topic = context.topic(configs=SMALL | configs)
    written(context, topic, noise(300, 4000, context.base_ms), compression_type="gzip", batch_num_messages=10)


@suite.check("records deleted, and a topic deleted")
def _(context):
    topic = context.topic(configs=SHORT)
    written(context, topic, noise(60, 50, context.base_ms, 60_000), batch_num_messages=2)
    result(context.admin.delete_records([TopicPartition(topic, 0, 31)]))
    doomed = context.topic(partitions=2, configs=SHORT)
    written(context, doomed, noise(30, 50, context.base_ms, 60_000), batch_num_messages=2)
    result(context.admin.delete_topics([doomed]))


@suite.check("a metadata log with every change that an administrator makes")
def _(context):
    for round in range(12):
        topic = context.topic(partitions=2, configs={"retention.ms": str(10**9 + round)})
        result(context.admin.create_partitions([NewPartitions(topic, 4)]))
        changes = [
            (ConfigResource(ResourceType.TOPIC, topic), "max.message.bytes"),
            (ConfigResource(ResourceType.BROKER, "1"), "message.max.bytes"),
        ]
        for resource, name in changes:
            value = str(123456 + round)
            entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            resource.add_incremental_config(entry)
            result(context.admin.incremental_alter_configs([resource]))


@suite.check("offsets of groups, committed and of a member")
def _(context):
    topic = context.topic(partitions=2)
    context.fill(topic, 20)
    for _ in range(3):
        consumer = context.consumer(group_id=unique("member"))
        consumer.subscribe([topic])
        take(consumer, 20)
        consumer.commit(asynchronous=False)
        consumer.close()
    alone = context.consumer(group_id=unique("alone"))
    for offset in range(1, 20):
        alone.commit(offsets=[TopicPartition(topic, 0, offset, metadata=f"at {offset}")], asynchronous=False)
    alone.close()


def alter(context, kind, name, values):
    resource = ConfigResource(kind, name)
    for key, value in values.items():
        resource.add_incremental_config(ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET))
    result(context.admin.incremental_alter_configs([resource]))


def left(context, topic, partition):
    """How many records a consumer finds in a partition."""
    consumer = context.consumer(enable_partition_eof=True)
    consumer.assign([TopicPartition(topic, partition, 0)])
    count = 0
    while message := consumer.poll(10):
        if message.error():
            break
        count += 1
    consumer.close()
    return count


def is_compacted(context, topic):
    """Whether some partition has lost most of its records and none of its offsets."""
    consumer = context.consumer()
    partitions = consumer.list_topics(topic).topics[topic].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions}
    consumer.close()
    return any(end > 40 and left(context, topic, p) < end / 2 for p, end in ends.items())


@suite.check("offsets of groups and states of transactions are compacted, and are what they were")
def _(context):
    topic = context.topic()
    context.fill(topic, 20)
    group = context.consumer(group_id=unique("compacted"))
    producer = context.producer(transactional_id=unique("compacted"))
    producer.init_transactions(20)
    # Both topics exist once they were used.
    group.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
    alter(context, ResourceType.BROKER, "1", {"log.cleaner.backoff.ms": "100"})
    for internal in ("__consumer_offsets", "__transaction_state"):
        alter(context, ResourceType.TOPIC, internal, {"segment.ms": "50", "min.cleanable.dirty.ratio": "0.01"})
    for offset in range(60):
        group.commit(offsets=[TopicPartition(topic, 0, offset % 20, metadata=f"{offset}")], asynchronous=False)
        producer.begin_transaction()
        producer.produce(topic, b"value", b"key")
        producer.commit_transaction(20)
        # Segments end by the time of their records.
        time.sleep(0.02)
    for internal in ("__consumer_offsets", "__transaction_state"):
        eventually(lambda: is_compacted(context, internal), f"{internal} is compacted", seconds=60)
    committed = group.committed([TopicPartition(topic, 0)], 20)[0]
    equal((committed.offset, committed.metadata), (59 % 20, "59"), "committed")
    group.close()


if __name__ == "__main__":
    harness.main(suite, Context)
