"""Consumer groups with `group.protocol=consumer` (KIP-848) with confluent-kafka, which is librdkafka.

The broker must allow short sessions: `group.consumer.session.timeout.ms` and its minimum at six seconds,
`group.consumer.heartbeat.interval.ms` and its minimum at half a second.
"""

from confluent_kafka import ConsumerGroupState, ConsumerGroupType, TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic

import harness
from confluent_context import Context, group_member, group_of_three, raises_code, result, take
from harness import equal, eventually, unique

suite = harness.Suite("confluent-kafka kip848")


def member(bootstrap, topic, group, strategy, name):
    group_member(Context(bootstrap), topic, group, strategy, name)


@suite.check("a group of three: one leaves, one dies")
def _(context):
    group_of_three(__file__, context, "consumer")


@suite.check("static members keep their partitions over a restart")
def _(context):
    topic, group = context.topic(partitions=4), unique("group")
    harness.static_members(__file__, [context.bootstrap, topic, group, "consumer-static"], 4)


@suite.check("commit and resume")
def _(context):
    topic, group = context.topic(), unique("group")
    context.fill(topic, 30)
    for expected in [range(0, 10), range(10, 30)]:
        consumer = context.consumer(group_id=group, group_protocol="consumer")
        consumer.subscribe([topic])
        equal([m.offset() for m in take(consumer, len(expected))], list(expected), "offsets")
        consumer.commit(offsets=[TopicPartition(topic, 0, expected.stop)], asynchronous=False)
        consumer.close()


@suite.check("describe, list and delete")
def _(context):
    topic, group = context.topic(partitions=2), unique("group")
    context.fill(topic, 3)
    consumer = context.consumer(group_id=group, client_id="described", group_protocol="consumer")
    consumer.subscribe([topic])
    take(consumer, 3)
    consumer.commit(asynchronous=False)
    described = result(context.admin.describe_consumer_groups([group]))[group]
    equal((described.state, described.type), (ConsumerGroupState.STABLE, ConsumerGroupType.CONSUMER), "group")
    equal([m.client_id for m in described.members], ["described"], "members")
    equal(sorted(tp.partition for tp in described.members[0].assignment.topic_partitions), [0, 1], "assignment")
    listed = context.admin.list_consumer_groups(types={ConsumerGroupType.CONSUMER}).result(10)
    equal([g.group_id for g in listed.valid if g.group_id == group], [group], "listed as a consumer group")
    listed = context.admin.list_consumer_groups(types={ConsumerGroupType.CLASSIC}).result(10)
    equal([g.group_id for g in listed.valid if g.group_id == group], [], "listed as a classic group")
    with raises_code("NON_EMPTY_GROUP"):
        result(context.admin.delete_consumer_groups([group]))
    consumer.close()
    result(context.admin.delete_consumer_groups([group]))


@suite.check("a subscription by pattern finds topics that come later")
def _(context):
    prefix, group = unique("pattern"), unique("group")

    def create(name):
        result(context.admin.create_topics([NewTopic(f"{prefix}-{name}", num_partitions=2, replication_factor=1)]))

    create("one")
    consumer = context.consumer(group_id=group, group_protocol="consumer", topic_metadata_refresh_interval_ms=1000)
    consumer.subscribe([f"^{prefix}-.*"])

    def assigned():
        consumer.poll(0.1)
        return sorted((tp.topic, tp.partition) for tp in consumer.assignment())

    def expected(*names):
        return sorted((f"{prefix}-{name}", partition) for name in names for partition in range(2))

    eventually(lambda: assigned() == expected("one"), "partitions of the first topic", 30)
    create("two")
    eventually(lambda: assigned() == expected("one", "two"), "partitions of both topics", 30)
    consumer.close()


@suite.check("partitions that are added are assigned")
def _(context):
    topic, group = context.topic(), unique("group")
    consumer = context.consumer(group_id=group, group_protocol="consumer")
    consumer.subscribe([topic])

    def assigned():
        consumer.poll(0.1)
        return sorted(tp.partition for tp in consumer.assignment())

    eventually(lambda: assigned() == [0], "the first partition", 30)
    result(context.admin.create_partitions([NewPartitions(topic, 3)]))
    eventually(lambda: assigned() == [0, 1, 2], "three partitions", 30)
    consumer.close()


@suite.check("a classic group is upgraded while it runs")
def _(context):
    topic, group = context.topic(partitions=4), unique("group")
    arguments = [context.bootstrap, topic, group]
    classic = harness.Member(__file__, [*arguments, "range", "classic"])
    consumer = None
    try:
        eventually(lambda: len(classic.assigned) == 4, "the classic member has every partition", 30)
        consumer = harness.Member(__file__, [*arguments, "consumer", "consumer"])
        eventually(
            lambda: classic.assigned and consumer.assigned and len(classic.assigned | consumer.assigned) == 4,
            "both members share the partitions",
            30,
        )
        described = result(context.admin.describe_consumer_groups([group]))[group]
        equal(described.type, ConsumerGroupType.CONSUMER, "type of the mixed group")
        classic.leave()
        eventually(lambda: len(consumer.assigned) == 4, "the consumer member has every partition", 30)
        consumer.leave()
    finally:
        for member_ in filter(None, [classic, consumer]):
            member_.kill()


if __name__ == "__main__":
    harness.main(suite, Context, member)
