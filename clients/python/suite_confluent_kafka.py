"""confluent-kafka, which is librdkafka, against a broker."""

import time

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

import harness
from confluent_context import Context, content, group_member, group_of_three, raises_code, result, send, take
from harness import CODECS, equal, eventually, unique

suite = harness.Suite("confluent-kafka")


def offset_of(context, topic, spec, partition=0):
    tp = TopicPartition(topic, partition)
    (answer,) = result(context.admin.list_offsets({tp: spec})).values()
    return answer


@suite.check("create and describe a topic")
def _(context):
    topic = context.topic(partitions=3, configs={"retention.ms": "123456789"})
    (described,) = result(context.admin.describe_topics(TopicCollection([topic]))).values()
    equal(sorted(p.id for p in described.partitions), [0, 1, 2], "partitions")
    for partition in described.partitions:
        equal([n.id for n in partition.replicas], [partition.leader.id], "replicas")
        equal([n.id for n in partition.isr], [partition.leader.id], "in-sync replicas")
    listed = context.admin.list_topics(timeout=10)
    equal(len(listed.topics[topic].partitions), 3, "partitions listed")
    equal(listed.controller_id in listed.brokers, True, "the controller is a broker")


def round_trip(context, codec, acks):
    topic = context.topic()
    records = harness.sample_records(40, context.base_ms, tag=f"{codec}-{acks}-")
    send(context.producer(compression_type=codec, acks=acks), topic, records)
    read = context.read(topic, len(records))
    equal(content(read), records, "records")
    equal([m.offset() for m in read], list(range(len(records))), "offsets")


for codec in CODECS:
    for acks in ["0", "1", "all"]:
        suite.check(f"produce and consume codec={codec} acks={acks}", codec, acks)(round_trip)


@suite.check("idempotent produce")
def _(context):
    topic = context.topic()
    records = harness.sample_records(500, context.base_ms)
    offsets = context.produce(topic, records, enable_idempotence=True, batch_num_messages=20)
    equal(offsets, list(range(500)), "offsets")
    equal(content(context.read(topic, 500)), records, "records")


@suite.check("small fetches across many batches")
def _(context):
    topic = context.topic()
    records = harness.sample_records(300, context.base_ms)
    context.produce(topic, records, batch_num_messages=10)
    read = context.read(topic, 300, fetch_message_max_bytes=1000, fetch_wait_max_ms=10)
    equal(content(read), records, "records")


@suite.check("a record without key and value")
def _(context):
    topic = context.topic()
    records = [(None, None, [], context.base_ms), (b"", b"", [("none", None)], context.base_ms)]
    context.produce(topic, records)
    equal(content(context.read(topic, 2)), records, "records")


@suite.check("list offsets: earliest, latest, by timestamp, max timestamp")
def _(context):
    topic, base = context.topic(), context.base_ms
    context.fill(topic, 20)
    context.produce(topic, [(b"late", b"x", [], base + 5000), (b"early", b"y", [], base + 40)])
    equal(offset_of(context, topic, OffsetSpec.earliest()).offset, 0, "earliest")
    equal(offset_of(context, topic, OffsetSpec.latest()).offset, 22, "latest")
    newest = offset_of(context, topic, OffsetSpec.max_timestamp())
    equal((newest.offset, newest.timestamp), (20, base + 5000), "max timestamp")
    for timestamp, offset in [(0, 0), (base + 45, 5), (base + 191, 20), (base + 5001, -1)]:
        equal(offset_of(context, topic, OffsetSpec.for_timestamp(timestamp)).offset, offset, f"{timestamp - base}")
    consumer = context.consumer()
    equal(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (0, 22), "watermarks")
    (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, base + 100)], timeout=10)
    equal(found.offset, 10, "offset for a time")
    consumer.close()


@suite.check("a waiting consumer is woken by a produce")
def _(context):
    topic = context.topic()
    consumer = context.consumer(fetch_wait_max_ms=20000, fetch_min_bytes=1)
    consumer.assign([TopicPartition(topic, 0, 0)])
    equal(consumer.poll(1.5), None, "empty topic")
    started = time.monotonic()
    context.fill(topic, 1)
    take(consumer, 1)
    equal(time.monotonic() - started < 5, True, "woken before the fetch's own wait ended")
    consumer.close()


def member(bootstrap, topic, group, strategy, name):
    group_member(Context(bootstrap), topic, group, strategy, name)


for strategy in ["range", "cooperative-sticky"]:
    suite.check(f"a group of three, {strategy}: one leaves, one dies", strategy)(
        lambda context, strategy: group_of_three(__file__, context, strategy)
    )


@suite.check("static members keep their partitions over a restart")
def _(context):
    topic, group = context.topic(partitions=4), unique("group")
    harness.static_members(__file__, [context.bootstrap, topic, group, "static"], 4)


@suite.check("commit and resume")
def _(context):
    topic, group = context.topic(), unique("group")
    context.fill(topic, 30)
    consumer = context.consumer(group_id=group)
    consumer.subscribe([topic])
    equal([m.offset() for m in take(consumer, 10)], list(range(10)), "first read")
    consumer.commit(offsets=[TopicPartition(topic, 0, 10, "ten")], asynchronous=False)
    consumer.close()
    consumer = context.consumer(group_id=group)
    consumer.subscribe([topic])
    equal([m.offset() for m in take(consumer, 20)], list(range(10, 30)), "read after the commit")
    (committed,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
    equal((committed.offset, committed.metadata), (10, "ten"), "committed")
    consumer.close()


@suite.check("auto commit on close")
def _(context):
    topic, group = context.topic(), unique("group")
    context.fill(topic, 10)
    for expected in [range(0, 5), range(5, 10)]:
        consumer = context.consumer(group_id=group, enable_auto_commit=True)
        consumer.subscribe([topic])
        equal([m.offset() for m in take(consumer, 5)], list(expected), "offsets")
        consumer.close()


@suite.check("describe, list and delete groups, alter offsets")
def _(context):
    topic, group = context.topic(partitions=2), unique("group")
    context.fill(topic, 3)
    consumer = context.consumer(group_id=group, client_id="described")
    consumer.subscribe([topic])
    take(consumer, 3)
    consumer.commit(offsets=[TopicPartition(topic, 0, 3), TopicPartition(topic, 1, 0)], asynchronous=False)
    described = result(context.admin.describe_consumer_groups([group]))[group]
    equal(described.state, ConsumerGroupState.STABLE, "state")
    equal([m.client_id for m in described.members], ["described"], "members")
    equal(sorted(tp.partition for tp in described.members[0].assignment.topic_partitions), [0, 1], "assignment")
    listed = context.admin.list_consumer_groups(states={ConsumerGroupState.STABLE}).result(10)
    equal([g.group_id for g in listed.valid if g.group_id == group], [group], "listed")
    with raises_code("NON_EMPTY_GROUP"):
        result(context.admin.delete_consumer_groups([group]))
    consumer.close()

    def offsets(partitions=None):
        request = ConsumerGroupTopicPartitions(group, partitions)
        found = result(context.admin.list_consumer_group_offsets([request]))[group]
        return {tp.partition: tp.offset for tp in found.topic_partitions}

    equal(offsets(), {0: 3, 1: 0}, "offsets")
    moved = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])
    result(context.admin.alter_consumer_group_offsets([moved]))
    equal(offsets([TopicPartition(topic, 0)]), {0: 1}, "altered offset")
    result(context.admin.delete_consumer_groups([group]))
    listed = context.admin.list_consumer_groups().result(10)
    equal([g.group_id for g in listed.valid if g.group_id == group], [], "listed after the delete")
    with raises_code("GROUP_ID_NOT_FOUND"):
        result(context.admin.delete_consumer_groups([group]))


@suite.check("create partitions")
def _(context):
    topic = context.topic()
    result(context.admin.create_partitions([NewPartitions(topic, 4)]))
    eventually(lambda: len(context.admin.list_topics(topic, 10).topics[topic].partitions) == 4, "four partitions")
    with raises_code("INVALID_PARTITIONS"):
        result(context.admin.create_partitions([NewPartitions(topic, 2)]))
    context.fill(topic, 2, partition=3)
    equal(len(context.read(topic, 2, partition=3)), 2, "records")


@suite.check("describe and alter configs")
def _(context):
    topic = context.topic(configs={"cleanup.policy": "delete"})

    def described():
        return result(context.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)])).popitem()[1]

    def alter(name, operation, value):
        entry = ConfigEntry(name, value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        result(context.admin.incremental_alter_configs([resource]))

    equal(described()["max.message.bytes"].value, "1048588", "default")
    equal(described()["max.message.bytes"].is_default, True, "is the default")
    alter("max.message.bytes", AlterConfigOpType.SET, "2000")
    alter("cleanup.policy", AlterConfigOpType.APPEND, "compact")
    eventually(lambda: described()["max.message.bytes"].value == "2000", "altered value")
    equal(described()["cleanup.policy"].value, "delete,compact", "appended value")
    alter("cleanup.policy", AlterConfigOpType.SUBTRACT, "delete")
    eventually(lambda: described()["cleanup.policy"].value == "compact", "subtracted value")
    alter("max.message.bytes", AlterConfigOpType.DELETE, None)
    eventually(lambda: described()["max.message.bytes"].value == "1048588", "value after the delete")
    with raises_code("INVALID_CONFIG"):
        alter("retention.ms", AlterConfigOpType.SET, "never")
    replaced = ConfigResource(ResourceType.TOPIC, topic, set_config={"retention.ms": "5000"})
    result(context.admin.alter_configs([replaced]))
    eventually(lambda: described()["retention.ms"].value == "5000", "value of the older call")
    equal(described()["cleanup.policy"].value, "delete", "the older call resets the rest")
    broker = str(context.admin.list_topics(timeout=10).controller_id)
    found = result(context.admin.describe_configs([ConfigResource(ResourceType.BROKER, broker)])).popitem()[1]
    equal("log.retention.hours" in found, True, "broker configs")


@suite.check("delete records")
def _(context):
    topic = context.topic()
    context.fill(topic, 20)
    (deleted,) = result(context.admin.delete_records([TopicPartition(topic, 0, 8)])).values()
    equal(deleted.low_watermark, 8, "low watermark")
    equal(offset_of(context, topic, OffsetSpec.earliest()).offset, 8, "log start")
    equal([m.offset() for m in context.read(topic, 12, offset=8)], list(range(8, 20)), "offsets")
    with raises_code("OFFSET_OUT_OF_RANGE"):
        result(context.admin.delete_records([TopicPartition(topic, 0, 999)]))


@suite.check("describe the cluster")
def _(context):
    cluster = context.admin.describe_cluster().result(10)
    equal(len(cluster.nodes), 1, "nodes")
    equal(bool(cluster.cluster_id), True, "cluster id")


@suite.check("topics that may not be")
def _(context):
    topic = context.topic()

    def create(name, partitions=1, replicas=1, configs=None):
        new = NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=configs or {})
        result(context.admin.create_topics([new]))

    with raises_code("TOPIC_ALREADY_EXISTS"):
        create(topic)
    for name in ["bad/name", "..", "x" * 250]:
        with raises_code("TOPIC_EXCEPTION"):
            create(name)
    with raises_code("INVALID_REPLICATION_FACTOR"):
        create(unique("t"), replicas=3)
    with raises_code("INVALID_CONFIG"):
        create(unique("t"), configs={"no.such.config": "1"})
    with raises_code("UNKNOWN_TOPIC_OR_PART"):
        result(context.admin.delete_topics([unique("nowhere")]))


@suite.check("an unknown topic is not created by a consumer")
def _(context):
    topic = unique("nowhere")
    consumer = context.consumer(allow_auto_create_topics=False)
    consumer.subscribe([topic])
    message = eventually(lambda: consumer.poll(0.2), "an error")
    equal(message.error().name(), "UNKNOWN_TOPIC_OR_PART", "error")
    consumer.close()
    equal(topic in context.admin.list_topics(timeout=10).topics, False, "listed")


@suite.check("offset out of range")
def _(context):
    topic = context.topic()
    context.fill(topic, 3)
    with raises_code("_AUTO_OFFSET_RESET"):
        context.read(topic, 1, offset=100, auto_offset_reset="error")
    equal(len(context.read(topic, 3, offset=100)), 3, "records after a reset to earliest")


@suite.check("a record that is too large")
def _(context):
    topic = context.topic(configs={"max.message.bytes": "1000"})
    with raises_code("MSG_SIZE_TOO_LARGE"):
        context.produce(topic, [(None, b"x" * 5000, [], context.base_ms)])
    context.fill(topic, 1)
    equal(offset_of(context, topic, OffsetSpec.latest()).offset, 1, "end offset")


@suite.check("delete a topic")
def _(context):
    topic = context.topic(partitions=2)
    context.fill(topic, 5)
    result(context.admin.delete_topics([topic]))
    eventually(lambda: topic not in context.admin.list_topics(timeout=10).topics, "the topic is gone")

    def created():
        try:
            result(context.admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)]))
        except KafkaException:
            return False
        return True

    eventually(created, "a topic of the same name")
    eventually(lambda: topic in context.admin.list_topics(timeout=10).topics, "the topic is there again")
    equal(offset_of(context, topic, OffsetSpec.latest()).offset, 0, "it starts empty")


if __name__ == "__main__":
    harness.main(suite, Context, member)
