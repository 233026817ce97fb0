"""aiokafka against a broker."""

import asyncio
import contextlib
import functools
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import OffsetAndMetadata

import harness
from harness import CODECS, equal, raises, unique

suite = harness.Suite("aiokafka")


class Context:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.base_ms = harness.base_timestamp_ms()

    @contextlib.asynccontextmanager
    async def admin(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def topic(self, partitions=1, configs=None):
        name = unique("aiokafka")
        async with self.admin() as admin:
            await create(admin, name, partitions, configs=configs)
        return name

    def producer(self, **options):
        return AIOKafkaProducer(bootstrap_servers=self.bootstrap, **options)

    def consumer(self, *topics, **options):
        options = {
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "session_timeout_ms": harness.SESSION_TIMEOUT_MS,
            "heartbeat_interval_ms": harness.HEARTBEAT_INTERVAL_MS,
        } | options
        return AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap, **options)

    async def produce(self, topic, records, partition=0, **options):
        """Appends `records` in order and returns the offsets that the broker gave them."""
        async with self.producer(**options) as producer:
            sent = [
                await producer.send(topic, v, k, partition=partition, timestamp_ms=t, headers=h)
                for k, v, h, t in records
            ]
            await producer.flush()
            return [(await future).offset if options.get("acks") != 0 else None for future in sent]

    async def fill(self, topic, count, partition=0):
        return await self.produce(topic, harness.sample_records(count, self.base_ms), partition)

    async def read(self, topic, count, offset=0, partition=0, **options):
        """`count` records from `offset` on."""
        async with self.consumer(**options) as consumer:
            tp = TopicPartition(topic, partition)
            consumer.assign([tp])
            consumer.seek(tp, offset)
            return await take(consumer, count)


async def create(admin, name, partitions=1, replicas=1, configs=None):
    """Creates a topic, or raises what the broker answered."""
    new = NewTopic(name, num_partitions=partitions, replication_factor=replicas, topic_configs=configs or {})
    response = await admin.create_topics([new])
    for topic in response.topic_errors:
        if topic[1]:
            raise errors.for_code(topic[1])(topic[2])


async def eventually(condition, what, seconds=15):
    """Awaits `condition()` until it is truthy."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)


async def take(consumer, count, seconds=20):
    """Polls until `count` records have come."""
    records = []

    async def enough():
        for batch in (await consumer.getmany(timeout_ms=200, max_records=count - len(records))).values():
            records.extend(batch)
        return len(records) >= count

    await eventually(enough, f"{count} records", seconds)
    return records


def content(records):
    return [(r.key, r.value, list(r.headers), r.timestamp) for r in records]


def check(name, *args):
    """Registers a coroutine as a check."""

    def register(function):
        def run(context):
            asyncio.run(function(context, *args))

        suite.check(name)(functools.wraps(function)(run))
        return function

    return register


@check("create and describe a topic")
async def _(context):
    topic = await context.topic(partitions=3, configs={"retention.ms": "123456789"})
    async with context.admin() as admin:
        (described,) = await admin.describe_topics([topic])
        equal(described["error_code"], 0, "error")
        equal(sorted(p["partition"] for p in described["partitions"]), [0, 1, 2], "partitions")
        equal(topic in await admin.list_topics(), True, "listed")


async def round_trip(context, codec, acks):
    topic = await context.topic()
    records = harness.sample_records(40, context.base_ms, tag=f"{codec}-{acks}-")
    compression = None if codec == "none" else codec
    await context.produce(topic, records, compression_type=compression, acks=acks, linger_ms=20)
    read = await context.read(topic, len(records))
    equal(content(read), records, "records")
    equal([r.offset for r in read], list(range(len(records))), "offsets")


for codec in CODECS:
    for acks in [0, 1, "all"]:
        check(f"produce and consume codec={codec} acks={acks}", codec, acks)(round_trip)


@check("idempotent produce")
async def _(context):
    topic = await context.topic()
    records = harness.sample_records(200, context.base_ms)
    offsets = await context.produce(topic, records, enable_idempotence=True, max_batch_size=2000)
    equal(offsets, list(range(200)), "offsets")
    equal(content(await context.read(topic, 200)), records, "records")


@check("small fetches across many batches")
async def _(context):
    topic = await context.topic()
    records = harness.sample_records(300, context.base_ms)
    await context.produce(topic, records, max_batch_size=1000)
    read = await context.read(topic, 300, max_partition_fetch_bytes=500, fetch_max_bytes=500)
    equal(content(read), records, "records")


@check("list offsets: earliest, latest, by timestamp")
async def _(context):
    topic, base = await context.topic(), context.base_ms
    tp = TopicPartition(topic, 0)
    await context.fill(topic, 20)
    async with context.consumer() as consumer:
        consumer.assign([tp])
        equal(await consumer.beginning_offsets([tp]), {tp: 0}, "beginning")
        equal(await consumer.end_offsets([tp]), {tp: 20}, "end")
        for timestamp, offset in [(0, 0), (base + 45, 5), (base + 190, 19)]:
            equal((await consumer.offsets_for_times({tp: timestamp}))[tp].offset, offset, f"{timestamp - base}")
        equal((await consumer.offsets_for_times({tp: base + 191}))[tp], None, "timestamp after the last")
        await consumer.seek_to_end(tp)
        equal(await consumer.position(tp), 20, "position at the end")


@check("a waiting consumer is woken by a produce")
async def _(context):
    topic = await context.topic()
    async with context.consumer(fetch_max_wait_ms=20000) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        equal(await consumer.getmany(timeout_ms=1500), {}, "empty topic")
        started = time.monotonic()
        await context.fill(topic, 1)
        await take(consumer, 1)
        equal(time.monotonic() - started < 5, True, "woken before the fetch's own wait ended")


def member(bootstrap, topic, group, strategy, name):
    asyncio.run(run_member(Context(bootstrap), topic, group, strategy, name))


class ClearOnRevoke(ConsumerRebalanceListener):
    """Between a revocation and the next assignment a member has no partitions."""

    def __init__(self, printer):
        self.printer = printer

    def on_partitions_revoked(self, _revoked):
        self.printer.update([])

    def on_partitions_assigned(self, assigned):
        self.printer.update(tp.partition for tp in assigned)


async def run_member(context, topic, group, strategy, name):
    leave = harness.wait_for_leave_request()
    consumer = context.consumer(
        group_id=group,
        client_id=name,
        partition_assignment_strategy=[StickyPartitionAssignor if strategy == "sticky" else RangePartitionAssignor],
        **({"group_instance_id": name, "session_timeout_ms": 20000} if strategy == "static" else {}),
    )
    consumer.subscribe([topic], listener=ClearOnRevoke(harness.AssignmentPrinter()))
    await consumer.start()
    while not leave.is_set():
        batches = await consumer.getmany(timeout_ms=100)
        for records in batches.values():
            for record in records:
                print("got", record.partition, record.offset, flush=True)
        if batches:
            # A commit that a rebalance refuses is repeated by the next owner's.
            with contextlib.suppress(errors.CommitFailedError, errors.IllegalStateError):
                await consumer.commit()
    await consumer.stop()


def group_of_three(context, strategy):
    topic = asyncio.run(context.topic(partitions=6))

    def produce(count):
        return {(p, offset) for p in range(6) for offset in asyncio.run(context.fill(topic, count, p))}

    harness.group_of_three(__file__, [context.bootstrap, topic, unique("group"), strategy], 6, produce)


for strategy in ["range", "sticky"]:
    suite.check(f"a group of three, {strategy}: one leaves, one dies", strategy)(group_of_three)


@suite.check("static members keep their partitions over a restart")
def _(context):
    topic, group = asyncio.run(context.topic(partitions=4)), unique("group")
    harness.static_members(__file__, [context.bootstrap, topic, group, "static"], 4)


@check("commit and resume")
async def _(context):
    topic, group = await context.topic(), unique("group")
    await context.fill(topic, 30)
    tp = TopicPartition(topic, 0)
    async with context.consumer(topic, group_id=group) as consumer:
        equal([r.offset for r in await take(consumer, 10)], list(range(10)), "first read")
        await consumer.commit({tp: OffsetAndMetadata(10, "ten")})
    async with context.consumer(topic, group_id=group) as consumer:
        equal([r.offset for r in await take(consumer, 20)], list(range(10, 30)), "read after the commit")
        equal(await consumer.committed(tp), 10, "committed")


@check("describe and list groups")
async def _(context):
    topic, group = await context.topic(), unique("group")
    await context.fill(topic, 3)
    tp = TopicPartition(topic, 0)
    async with context.admin() as admin, context.consumer(topic, group_id=group) as consumer:
        await take(consumer, 3)
        await consumer.commit()
        (response,) = await admin.describe_consumer_groups([group])
        equal([(g[1], g[2]) for g in response.groups], [(group, "Stable")], "described")
        listed = [g[0] for g in await admin.list_consumer_groups()]
        equal(group in listed, True, "listed")
        offsets = await admin.list_consumer_group_offsets(group)
        equal({tp: o.offset for tp, o in offsets.items()}, {tp: 3}, "offsets")


@check("create partitions")
async def _(context):
    topic = await context.topic()
    async with context.admin() as admin:
        await admin.create_partitions({topic: NewPartitions(total_count=4)})

        async def four():
            (described,) = await admin.describe_topics([topic])
            return len(described["partitions"]) == 4

        await eventually(four, "four partitions")
        with raises(errors.InvalidPartitionsError):
            await admin.create_partitions({topic: NewPartitions(total_count=2)})
    await context.fill(topic, 2, partition=3)
    equal(len(await context.read(topic, 2, partition=3)), 2, "records")


@check("describe and alter configs")
async def _(context):
    topic = await context.topic(configs={"retention.ms": "123456789"})
    async with context.admin() as admin:

        async def described():
            (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            (resource,) = response.resources
            return {entry[0]: entry[1] for entry in resource[4]}

        configs = await described()
        equal((configs["retention.ms"], configs["max.message.bytes"]), ("123456789", "1048588"), "configs")
        change = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": "2000"})
        await admin.alter_configs([change])

        async def altered():
            configs = await described()
            return (configs["max.message.bytes"], configs["retention.ms"]) == ("2000", "604800000")

        await eventually(altered, "the altered value, and the default of what was not named")


@check("delete records")
async def _(context):
    topic = await context.topic()
    await context.fill(topic, 20)
    tp = TopicPartition(topic, 0)
    async with context.admin() as admin:
        equal(await admin.delete_records({tp: RecordsToDelete(before_offset=8)}), {tp: 8}, "low watermark")
        with raises(errors.OffsetOutOfRangeError):
            await admin.delete_records({tp: RecordsToDelete(before_offset=999)})
    equal([r.offset for r in await context.read(topic, 12, offset=8)], list(range(8, 20)), "offsets")


@check("describe the cluster")
async def _(context):
    async with context.admin() as admin:
        cluster = await admin.describe_cluster()
        equal(len(cluster["brokers"]), 1, "brokers")


@check("topics that may not be")
async def _(context):
    topic = await context.topic()
    async with context.admin() as admin:
        with raises(errors.TopicAlreadyExistsError):
            await create(admin, topic)
        for name in ["bad/name", "..", "x" * 250]:
            with raises(errors.InvalidTopicError):
                await create(admin, name)
        with raises(errors.InvalidReplicationFactorError):
            await create(admin, unique("t"), replicas=3)
        with raises(errors.InvalidConfigurationError):
            await create(admin, unique("t"), configs={"no.such.config": "1"})


@check("offset out of range")
async def _(context):
    topic = await context.topic()
    await context.fill(topic, 3)
    with raises(errors.OffsetOutOfRangeError):
        await context.read(topic, 1, offset=100, auto_offset_reset="none")
    equal(len(await context.read(topic, 3, offset=100)), 3, "records after a reset to earliest")


@check("a record that is too large")
async def _(context):
    topic = await context.topic(configs={"max.message.bytes": "1000"})
    with raises(errors.MessageSizeTooLargeError):
        await context.produce(topic, [(None, b"x" * 5000, [], context.base_ms)])
    equal(await context.fill(topic, 1), [0], "offset")


@check("delete a topic")
async def _(context):
    topic = await context.topic()
    async with context.admin() as admin:
        await admin.delete_topics([topic])

        async def gone():
            return topic not in await admin.list_topics()

        await eventually(gone, "the topic is gone")


if __name__ == "__main__":
    harness.main(suite, Context, member)
