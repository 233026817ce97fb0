"""kafka-python against a broker."""

import subprocess
import sys
import time
import uuid
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, MemberToRemove, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

import harness
from harness import CODECS, equal, eventually, raises, unique

suite = harness.Suite("kafka-python")


class Context:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.base_ms = harness.base_timestamp_ms()

    def topic(self, partitions=1, configs=None):
        name = unique("kafka-python")
        spec = {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}
        self.admin.create_topics({name: spec}, wait_for_metadata=True)
        return name

    def producer(self, **options):
        options = {"linger_ms": 0, "acks": "all", "enable_idempotence": False} | options
        return KafkaProducer(bootstrap_servers=self.bootstrap, **options)

    def consumer(self, **options):
        options = {
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "session_timeout_ms": harness.SESSION_TIMEOUT_MS,
            "heartbeat_interval_ms": harness.HEARTBEAT_INTERVAL_MS,
        } | options
        return KafkaConsumer(bootstrap_servers=self.bootstrap, **options)

    def produce(self, topic, records, partition=0, **options):
        """Appends `records` in order and returns the offsets that the broker gave them."""
        producer = self.producer(**options)
        sent = [
            producer.send(topic, key=k, value=v, headers=h, timestamp_ms=t, partition=partition)
            for k, v, h, t in records
        ]
        producer.flush()
        offsets = [future.get(timeout=10).offset for future in sent]
        producer.close()
        return offsets

    def fill(self, topic, count, partition=0):
        self.produce(topic, harness.sample_records(count, self.base_ms), partition)

    def read(self, topic, count, offset=0, partition=0, **options):
        """`count` records from `offset` on."""
        with self.consumer(**options) as consumer:
            tp = TopicPartition(topic, partition)
            consumer.assign([tp])
            consumer.seek(tp, offset)
            return take(consumer, count)

    def end_offset(self, topic, partition=0):
        tp = TopicPartition(topic, partition)
        return self.admin.list_partition_offsets({tp: OffsetSpec.LATEST})[tp].offset


def take(consumer, count, seconds=20):
    """Polls until `count` records have come."""
    records = []

    def enough():
        for batch in consumer.poll(timeout_ms=200).values():
            records.extend(batch)
        return len(records) >= count

    eventually(enough, f"{count} records", seconds)
    equal(len(records), count, "records read")
    return records


def content(records):
    return [(r.key, r.value, list(r.headers), r.timestamp) for r in records]


@suite.check("create and describe a topic")
def _(context):
    topic = context.topic(partitions=3, configs={"retention.ms": "123456789"})
    (described,) = context.admin.describe_topics([topic])
    equal(described["error_code"], 0, "error")
    equal(sorted(p["partition_index"] for p in described["partitions"]), [0, 1, 2], "partitions")
    for partition in described["partitions"]:
        equal(partition["replica_nodes"], [partition["leader_id"]], "replicas")
        equal(partition["isr_nodes"], [partition["leader_id"]], "in-sync replicas")
    equal(topic in context.admin.list_topics(), True, "listed")
    by_id = context.admin.describe_topics([uuid.UUID(described["topic_id"])])
    equal((by_id[0]["error_code"], len(by_id[0]["partitions"])), (0, 3), "described by its id")
    paged = context.admin.describe_topic_partitions([topic])
    equal(len(paged["topics"][0]["partitions"]), 3, "partitions of DescribeTopicPartitions")


@suite.check("create with validate_only creates nothing")
def _(context):
    topic = unique("kafka-python")
    context.admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, validate_only=True)
    equal(topic in context.admin.list_topics(), False, "listed")


@suite.check("a first program on an auto-created topic")
def _(context):
    program = Path(__file__).with_name("first_program.py")
    result = subprocess.run([sys.executable, program, context.bootstrap], capture_output=True, text=True, timeout=40)
    equal(result.stdout.splitlines(), [f"Message {i}" for i in range(10)], result.stderr)


def round_trip(context, codec, acks):
    topic = context.topic()
    records = harness.sample_records(40, context.base_ms, tag=f"{codec}-{acks}-")
    compression = None if codec == "none" else codec
    producer = context.producer(compression_type=compression, acks=acks, linger_ms=20)
    for key, value, headers, timestamp in records:
        producer.send(topic, key=key, value=value, headers=headers, timestamp_ms=timestamp, partition=0)
    producer.flush()
    producer.close()
    read = context.read(topic, len(records))
    equal(content(read), records, "records")
    equal([r.offset for r in read], list(range(len(records))), "offsets")


for codec in CODECS:
    for acks in [0, 1, "all"]:
        suite.check(f"produce and consume codec={codec} acks={acks}", codec, acks)(round_trip)


@suite.check("idempotent produce")
def _(context):
    topic = context.topic()
    records = harness.sample_records(200, context.base_ms)
    offsets = context.produce(topic, records, enable_idempotence=True, batch_size=2000)
    equal(offsets, list(range(200)), "offsets")
    equal(content(context.read(topic, 200)), records, "records")


@suite.check("small fetches across many batches")
def _(context):
    topic = context.topic()
    records = harness.sample_records(300, context.base_ms)
    context.produce(topic, records, batch_size=1000)
    read = context.read(topic, 300, max_partition_fetch_bytes=500, fetch_max_bytes=500)
    equal(content(read), records, "records")


@suite.check("consume from the middle of a batch")
def _(context):
    topic = context.topic()
    records = harness.sample_records(50, context.base_ms)
    context.produce(topic, records, linger_ms=50, compression_type="lz4")
    equal(content(context.read(topic, 27, offset=23)), records[23:], "records")


@suite.check("list offsets: earliest, latest, by timestamp, max timestamp")
def _(context):
    topic = context.topic()
    tp, base = TopicPartition(topic, 0), context.base_ms
    context.fill(topic, 20)
    context.produce(topic, [(b"late", b"latest timestamp", [], base + 5000), (b"early", b"older", [], base + 40)])
    with context.consumer() as consumer:
        equal(consumer.beginning_offsets([tp])[tp], 0, "beginning")
        equal(consumer.end_offsets([tp])[tp], 22, "end")
        for timestamp, offset, found in [(0, 0, base), (base + 45, 5, base + 50), (base + 191, 20, base + 5000)]:
            answer = consumer.offsets_for_times({tp: timestamp})[tp]
            equal((answer.offset, answer.timestamp), (offset, found), f"timestamp {timestamp - base}")
        equal(consumer.offsets_for_times({tp: base + 5001})[tp], None, "timestamp after the last")
    latest = context.admin.list_partition_offsets({tp: OffsetSpec.MAX_TIMESTAMP})[tp]
    equal((latest.offset, latest.timestamp), (20, base + 5000), "max timestamp")


@suite.check("log append time")
def _(context):
    topic = context.topic(configs={"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    context.fill(topic, 5)
    for record in context.read(topic, 5):
        equal(record.timestamp_type, 1, "timestamp type")
        equal(before - 1000 <= record.timestamp <= time.time() * 1000 + 1000, True, f"{record.timestamp} is now")


@suite.check("a waiting consumer is woken by a produce")
def _(context):
    topic = context.topic()
    with context.consumer(fetch_max_wait_ms=20000, request_timeout_ms=30000) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        equal(consumer.poll(timeout_ms=1500), {}, "empty topic")
        started = time.monotonic()
        context.fill(topic, 1)
        take(consumer, 1)
        equal(time.monotonic() - started < 5, True, "woken before the fetch's own wait ended")


def member(bootstrap, topic, group, strategy, name):
    leave = harness.wait_for_leave_request()
    printer = harness.AssignmentPrinter()
    cooperative = strategy == "cooperative"
    consumer = Context(bootstrap).consumer(
        group_id=group,
        client_id=name,
        partition_assignment_strategy=[CooperativeStickyAssignor if cooperative else RangePartitionAssignor],
        **({"group_instance_id": name, "session_timeout_ms": 20000} if strategy == "static" else {}),
    )
    consumer.subscribe([topic])
    while not leave.is_set():
        batches = consumer.poll(timeout_ms=100)
        printer.update(tp.partition for tp in consumer.assignment())
        for records in batches.values():
            for record in records:
                print("got", record.partition, record.offset, flush=True)
        if batches:
            # A commit that a rebalance refuses is repeated by the next owner's.
            try:
                consumer.commit()
            except (errors.CommitFailedError, errors.RebalanceInProgressError):
                pass
    consumer.close()


def group_of_three(context, strategy):
    topic = context.topic(partitions=6)

    def produce(count):
        records = harness.sample_records(count, context.base_ms)
        return {(p, offset) for p in range(6) for offset in context.produce(topic, records, p)}

    arguments = [context.bootstrap, topic, unique("group"), strategy]
    harness.group_of_three(__file__, arguments, 6, produce)


suite.check("a group of three: one leaves, one dies", "range")(group_of_three)
suite.check("a cooperative group of three: one leaves, one dies", "cooperative")(group_of_three)


@suite.check("commit and resume")
def _(context):
    topic, group = context.topic(), unique("group")
    context.fill(topic, 30)
    tp = TopicPartition(topic, 0)
    with context.consumer(group_id=group, max_poll_records=10) as consumer:
        consumer.subscribe([topic])
        equal([r.offset for r in take(consumer, 10)], list(range(10)), "first read")
        consumer.commit({tp: OffsetAndMetadata(10, "ten", -1)})
    with context.consumer(group_id=group) as consumer:
        consumer.subscribe([topic])
        equal([r.offset for r in take(consumer, 20)], list(range(10, 30)), "read after the commit")
        equal(consumer.committed(tp, metadata=True), OffsetAndMetadata(10, "ten", -1), "committed")


@suite.check("static members keep their partitions over a restart")
def _(context):
    topic, group = context.topic(partitions=4), unique("group")
    harness.static_members(__file__, [context.bootstrap, topic, group, "static"], 4)
    context.admin.remove_group_members(group, [MemberToRemove(group_instance_id="a"), MemberToRemove(group_instance_id="b")])
    eventually(
        lambda: context.admin.describe_groups([group])[group]["group_state"] == "Empty", "removed members are gone"
    )


@suite.check("describe, list and delete groups, delete offsets")
def _(context):
    topic, group = context.topic(partitions=2), unique("group")
    context.fill(topic, 3)
    t0, t1 = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = context.consumer(group_id=group, client_id="described")
    consumer.subscribe([topic])
    take(consumer, 3)
    consumer.commit({t0: OffsetAndMetadata(3, "", -1), t1: OffsetAndMetadata(0, "", -1)})
    described = context.admin.describe_groups([group])[group]
    equal(described["group_state"], "Stable", "state")
    equal([m["client_id"] for m in described["members"]], ["described"], "members")
    listed = [g for g in context.admin.list_groups() if g["group_id"] == group]
    equal([g["protocol_type"] for g in listed], ["consumer"], "listed")
    equal(dict(context.admin.delete_groups([group]))[group], "NonEmptyGroupError", "delete of a live group")
    consumer.close()
    eventually(lambda: context.admin.describe_groups([group])[group]["group_state"] == "Empty", "the group is empty")
    offsets = context.admin.list_group_offsets({group: None})[group]
    equal({tp: o.offset for tp, o in offsets.items()}, {t0: 3, t1: 0}, "offsets")
    equal(context.admin.delete_group_offsets(group, [t1]), {t1: errors.NoError}, "deleted offsets")
    equal(list(context.admin.list_group_offsets({group: None})[group]), [t0], "offsets left")
    context.admin.alter_group_offsets(group, {t0: OffsetAndMetadata(1, "moved", -1)})
    equal(context.admin.list_group_offsets({group: [t0]})[group][t0].offset, 1, "altered offset")
    equal(dict(context.admin.delete_groups([group]))[group], "OK", "delete")
    equal([g for g in context.admin.list_groups() if g["group_id"] == group], [], "listed after the delete")
    equal(dict(context.admin.delete_groups([group]))[group], "GroupIdNotFoundError", "second delete")


@suite.check("create partitions")
def _(context):
    topic = context.topic()
    context.admin.create_partitions({topic: 4})
    described = eventually(
        lambda: [t for t in context.admin.describe_topics([topic]) if len(t["partitions"]) == 4], "four partitions"
    )
    equal(len(described), 1, "topics")
    with raises(errors.InvalidPartitionsError):
        context.admin.create_partitions({topic: 2})
    eventually(lambda: context.end_offset(topic, 3) == 0, "the fourth partition answers")
    context.fill(topic, 2, partition=3)
    equal(len(context.read(topic, 2, partition=3)), 2, "records")


@suite.check("describe and alter configs")
def _(context):
    topic = context.topic(configs={"cleanup.policy": "delete"})

    def described():
        found = context.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return found["topic"][topic]

    def alter(configs):
        return context.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])

    configs = described()
    equal(configs["max.message.bytes"]["value"], "1048588", "default")
    equal(configs["compression.type"]["value"], "producer", "default")
    alter({"max.message.bytes": (AlterConfigOp.SET, "2000"), "cleanup.policy": (AlterConfigOp.APPEND, "compact")})
    eventually(lambda: described()["max.message.bytes"]["value"] == "2000", "altered value")
    equal(described()["cleanup.policy"]["value"], "delete,compact", "appended value")
    alter({"max.message.bytes": (AlterConfigOp.DELETE, None)})
    eventually(lambda: described()["max.message.bytes"]["value"] == "1048588", "value after the delete")
    outcome = str(alter({"retention.ms": (AlterConfigOp.SET, "never")}))
    equal("retention.ms" in outcome, True, f"a bad value is refused with its key: {outcome}")
    broker = str(context.admin.describe_cluster()["brokers"][0]["broker_id"])
    found = context.admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, broker)], config_filter="all")
    equal("log.retention.hours" in found["broker"][broker], True, "broker configs")


@suite.check("delete records")
def _(context):
    topic = context.topic()
    tp = TopicPartition(topic, 0)
    context.fill(topic, 20)
    context.admin.delete_records({tp: 8})
    equal(context.admin.list_partition_offsets({tp: OffsetSpec.EARLIEST})[tp].offset, 8, "log start")
    equal([r.offset for r in context.read(topic, 12, offset=8)], list(range(8, 20)), "offsets")
    context.admin.delete_records({tp: -1})
    equal(context.admin.list_partition_offsets({tp: OffsetSpec.EARLIEST})[tp].offset, 20, "log start")
    with raises(errors.OffsetOutOfRangeError):
        context.admin.delete_records({tp: 999})


@suite.check("describe the cluster and its log directories")
def _(context):
    topic = context.topic()
    context.fill(topic, 10)
    cluster = context.admin.describe_cluster()
    equal(len(cluster["brokers"]), 1, "brokers")
    equal(bool(cluster["cluster_id"]), True, "cluster id")
    (answer,) = context.admin.describe_log_dirs()
    partitions = [
        p for d in answer["log_dirs"] for t in d["topics"] for p in t["partitions"] if t["name"] == topic
    ]
    equal(len(partitions), 1, "partitions of the topic in the log directories")
    equal(partitions[0]["partition_size"] > 0, True, "size")


@suite.check("topics that may not be")
def _(context):
    topic = context.topic()
    with raises(errors.TopicAlreadyExistsError):
        context.admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
    for name in ["bad/name", "..", "x" * 250, "white space"]:
        with raises(errors.InvalidTopicError):
            context.admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})
    with raises(errors.InvalidPartitionsError):
        context.admin.create_topics({unique("t"): {"num_partitions": 0, "replication_factor": 1}})
    with raises(errors.InvalidReplicationFactorError):
        context.admin.create_topics({unique("t"): {"num_partitions": 1, "replication_factor": 3}})
    with raises(errors.InvalidConfigurationError):
        spec = {"num_partitions": 1, "replication_factor": 1, "configs": {"no.such.config": "1"}}
        context.admin.create_topics({unique("t"): spec})
    with raises(errors.UnknownTopicOrPartitionError):
        context.admin.delete_topics([unique("nowhere")])


@suite.check("an unknown topic is not created by being described")
def _(context):
    topic = unique("nowhere")
    unknown = errors.UnknownTopicOrPartitionError.errno
    equal([t["error_code"] for t in context.admin.describe_topics([topic])], [unknown], "Metadata")
    paged = context.admin.describe_topic_partitions([topic])
    equal([t["error_code"] for t in paged["topics"]], [unknown], "DescribeTopicPartitions")
    equal(topic in context.admin.list_topics(), False, "listed")


@suite.check("offset out of range")
def _(context):
    topic = context.topic()
    context.fill(topic, 3)
    with context.consumer(auto_offset_reset="none") as consumer:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        consumer.seek(tp, 100)

        def failed():
            try:
                consumer.poll(timeout_ms=200)
            except errors.OffsetOutOfRangeError:
                return True

        eventually(failed, "OFFSET_OUT_OF_RANGE")
    equal(len(context.read(topic, 3, offset=100)), 3, "records after a reset to earliest")


@suite.check("a record that is too large")
def _(context):
    topic = context.topic(configs={"max.message.bytes": "1000"})
    with raises(errors.MessageSizeTooLargeError):
        context.produce(topic, [(None, b"x" * 5000, [], context.base_ms)])
    context.fill(topic, 1)
    equal(context.end_offset(topic), 1, "end offset")


@suite.check("delete a topic")
def _(context):
    topic = context.topic(partitions=2)
    context.fill(topic, 5)
    context.admin.delete_topics([topic])
    eventually(lambda: topic not in context.admin.list_topics(), "the topic is gone")
    context.admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    equal(context.end_offset(topic), 0, "a topic of the same name starts empty")


if __name__ == "__main__":
    harness.main(suite, Context, member)
