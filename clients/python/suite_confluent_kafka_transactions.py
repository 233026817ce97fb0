"""Transactions with confluent-kafka, which is librdkafka."""

from confluent_kafka import KafkaError, KafkaException, TopicPartition

import harness
from confluent_context import Context, content, raises_code, send, take
from harness import equal, eventually, unique

suite = harness.Suite("confluent-kafka transactions")

COMMITTED = {"isolation_level": "read_committed"}
UNCOMMITTED = {"isolation_level": "read_uncommitted"}


def transactional(context, name=None, **options):
    producer = context.producer(transactional_id=name or unique("txn"), **options)
    producer.init_transactions(30)
    return producer


def nothing_to_read(context, topic, offset=0):
    consumer = context.consumer(**COMMITTED)
    consumer.assign([TopicPartition(topic, 0, offset)])
    equal(consumer.poll(1.0), None, "a record of an open or aborted transaction")
    consumer.close()


def records(context, count, tag=""):
    return harness.sample_records(count, context.base_ms, tag)


@suite.check("a commit shows a transaction in every partition at once")
def _(context):
    topic = context.topic(partitions=2)
    producer = transactional(context)
    producer.begin_transaction()
    for partition in range(2):
        send(producer, topic, records(context, 10), partition)
    equal(len(context.read(topic, 10, **UNCOMMITTED)), 10, "read uncommitted before the commit")
    nothing_to_read(context, topic)
    producer.commit_transaction(30)
    for partition in range(2):
        read = context.read(topic, 10, partition=partition, **COMMITTED)
        equal(content(read), records(context, 10), "records")


@suite.check("an aborted transaction is never read")
def _(context):
    topic = context.topic()
    producer = transactional(context)
    for tag, end in [("a", "commit"), ("b", "abort"), ("c", "commit"), ("d", "abort"), ("e", "commit")]:
        producer.begin_transaction()
        send(producer, topic, records(context, 5, tag))
        producer.commit_transaction(30) if end == "commit" else producer.abort_transaction(30)
    read = context.read(topic, 15, **COMMITTED)
    equal(content(read), [r for tag in "ace" for r in records(context, 5, tag)], "records")
    # Each end of a transaction is a record of its own.
    equal([m.offset() for m in read], [0, 1, 2, 3, 4, 12, 13, 14, 15, 16, 24, 25, 26, 27, 28], "offsets")
    equal(len(context.read(topic, 25, **UNCOMMITTED)), 25, "read uncommitted")


@suite.check("an open transaction holds back what comes after it")
def _(context):
    topic = context.topic()
    producer = transactional(context)
    context.fill(topic, 3)
    producer.begin_transaction()
    send(producer, topic, records(context, 2))
    context.fill(topic, 4)
    equal([m.offset() for m in context.read(topic, 3, **COMMITTED)], [0, 1, 2], "before the transaction")
    nothing_to_read(context, topic, 3)
    consumer = context.consumer(**COMMITTED)
    equal(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1], 3, "last stable offset")
    consumer.close()
    producer.abort_transaction(30)
    equal([m.offset() for m in context.read(topic, 7, **COMMITTED)], [0, 1, 2, 5, 6, 7, 8], "after the abort")


def transform_once(context, source, target, group, name, limit, abort_first):
    """Reads up to `limit` records of the group and writes them, transformed, in one transaction."""
    producer = transactional(context, name)
    consumer = context.consumer(group_id=group, **COMMITTED)
    consumer.subscribe([source])
    batch = take(consumer, limit)
    producer.begin_transaction()
    for message in batch:
        producer.produce(target, b"seen " + (message.value() or b""), message.key(), partition=0)
    offsets = [TopicPartition(source, 0, batch[-1].offset() + 1)]
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
    if abort_first:
        producer.abort_transaction(30)
    else:
        producer.commit_transaction(30)
    consumer.close()


@suite.check("consume, transform, produce: exactly once over aborts and restarts")
def _(context):
    source, target, group, name = context.topic(), context.topic(), unique("group"), unique("txn")
    context.fill(source, 30)
    for abort_first in [False, True, False, True, False]:
        transform_once(context, source, target, group, name, 10, abort_first)
    expected = [(key, b"seen " + (value or b"")) for key, value, _, _ in records(context, 30)]
    read = context.read(target, 30, **COMMITTED)
    equal([(m.key(), m.value()) for m in read], expected, "records")
    consumer = context.consumer(group_id=group)
    (committed,) = consumer.committed([TopicPartition(source, 0)], timeout=10)
    equal(committed.offset, 30, "committed offset")
    consumer.close()


@suite.check("a zombie is fenced by the next producer of its transactional id")
def _(context):
    topic, name = context.topic(), unique("txn")
    zombie = transactional(context, name)
    zombie.begin_transaction()
    send(zombie, topic, records(context, 3, "zombie"))
    producer = transactional(context, name)
    producer.begin_transaction()
    send(producer, topic, records(context, 3, "next"))
    with raises_code("_FENCED"):
        zombie.commit_transaction(30)
    producer.commit_transaction(30)
    equal(content(context.read(topic, 3, **COMMITTED)), records(context, 3, "next"), "records")


@suite.check("a transaction that outlives its timeout is aborted")
def _(context):
    topic = context.topic()
    producer = transactional(context, transaction_timeout_ms=2000)
    producer.begin_transaction()
    send(producer, topic, records(context, 3))
    context.fill(topic, 2)
    equal([m.offset() for m in context.read(topic, 2, **COMMITTED)], [3, 4], "records after the abort")
    try:
        producer.commit_transaction(30)
    except KafkaException as error:
        fenced = [KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED]
        equal(error.args[0].code() in fenced or error.args[0].txn_requires_abort(), True, str(error))
    else:
        raise AssertionError("a transaction that was aborted could be committed")


@suite.check("transactions of several producers interleave in one partition")
def _(context):
    topic = context.topic()
    producers = [transactional(context) for _ in range(3)]
    for producer in producers:
        producer.begin_transaction()
    for round_ in range(4):
        for index, producer in enumerate(producers):
            send(producer, topic, records(context, 2, f"{index}-{round_}-"))
    producers[1].abort_transaction(30)
    producers[2].commit_transaction(30)
    producers[0].commit_transaction(30)
    expected = [r for round_ in range(4) for index in (0, 2) for r in records(context, 2, f"{index}-{round_}-")]
    equal(content(context.read(topic, 16, **COMMITTED)), expected, "records")


@suite.check("offsets of an aborted transaction are not committed")
def _(context):
    topic, group = context.topic(), unique("group")
    context.fill(topic, 5)
    producer = transactional(context)
    consumer = context.consumer(group_id=group)
    consumer.subscribe([topic])
    take(consumer, 5)
    producer.begin_transaction()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 5)], consumer.consumer_group_metadata(), 30)
    producer.abort_transaction(30)

    def committed():
        (found,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
        return found.offset

    equal(committed() < 0, True, "no committed offset")
    producer.begin_transaction()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 4)], consumer.consumer_group_metadata(), 30)
    producer.commit_transaction(30)
    eventually(lambda: committed() == 4, "the committed offset")
    consumer.close()


if __name__ == "__main__":
    harness.main(suite, Context)
