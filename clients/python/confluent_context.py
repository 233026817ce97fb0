"""What the confluent-kafka (librdkafka) suites share: clients with short waits, and helpers around them."""

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import harness
from harness import equal, eventually, unique


class Context:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.base_ms = harness.base_timestamp_ms()

    def topic(self, partitions=1, configs=None):
        name = unique("confluent-kafka")
        new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=configs or {})
        result(self.admin.create_topics([new]))
        return name

    def producer(self, **options):
        return Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5} | config(options))

    def consumer(self, **options):
        defaults = {
            "bootstrap.servers": self.bootstrap,
            "group.id": unique("confluent-kafka"),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": False,
        }
        if options.get("group_protocol") != "consumer":
            defaults["session.timeout.ms"] = harness.SESSION_TIMEOUT_MS
            defaults["heartbeat.interval.ms"] = harness.HEARTBEAT_INTERVAL_MS
        return Consumer(defaults | config(options))

    def produce(self, topic, records, partition=0, **options):
        """Appends `records` in order and returns the offsets that the broker gave them."""
        return send(self.producer(**options), topic, records, partition)

    def fill(self, topic, count, partition=0):
        return self.produce(topic, harness.sample_records(count, self.base_ms), partition)

    def read(self, topic, count, offset=0, partition=0, **options):
        """`count` records from `offset` on."""
        consumer = self.consumer(**options)
        try:
            consumer.assign([TopicPartition(topic, partition, offset)])
            return take(consumer, count)
        finally:
            consumer.close()


def config(options):
    return {name.replace("_", "."): value for name, value in options.items()}


def result(futures, seconds=20):
    """The results of an admin call's futures; its first error is raised."""
    return {key: future.result(seconds) for key, future in futures.items()}


def send(producer, topic, records, partition=0):
    offsets, problems = [], []

    def delivered(error, message):
        if error:
            problems.append(error)
        else:
            offsets.append(message.offset())

    for key, value, headers, timestamp in records:
        producer.produce(
            topic, value, key, partition=partition, timestamp=timestamp, headers=headers, on_delivery=delivered
        )
    equal(producer.flush(20), 0, "messages not delivered in time")
    if problems:
        raise KafkaException(problems[0])
    return offsets


def take(consumer, count, seconds=20):
    """Polls until `count` records have come."""
    records = []

    def enough():
        for message in consumer.consume(count - len(records), timeout=0.2):
            if message.error():
                raise KafkaException(message.error())
            records.append(message)
        return len(records) >= count

    eventually(enough, f"{count} records", seconds)
    return records


def content(messages):
    return [(m.key(), m.value(), m.headers() or [], m.timestamp()[1]) for m in messages]


class raises_code:
    """The block must raise a KafkaException with the code of this name."""

    def __init__(self, name):
        self.name = name
        self.code = getattr(KafkaError, name)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _trace):
        if kind is None:
            raise AssertionError(f"nothing was raised, expected {self.name}")
        if not issubclass(kind, KafkaException):
            return False
        equal(error.args[0].name(), self.name, "error")
        return True


def group_member(context, topic, group, strategy, name):
    """The body of a group member's process; see harness.Member."""
    leave = harness.wait_for_leave_request()
    printer = harness.AssignmentPrinter()
    if strategy == "consumer":
        options = {"group_protocol": "consumer"}
    elif strategy == "static":
        options = {"group_instance_id": name, "session_timeout_ms": 20000}
    elif strategy == "consumer-static":
        options = {"group_protocol": "consumer", "group_instance_id": name}
    else:
        options = {"partition_assignment_strategy": strategy}
    consumer = context.consumer(group_id=group, client_id=name, **options)
    consumer.subscribe([topic])
    while not leave.is_set():
        messages = [m for m in consumer.consume(100, timeout=0.1) if not m.error()]
        printer.update(tp.partition for tp in consumer.assignment())
        for message in messages:
            print("got", message.partition(), message.offset(), flush=True)
        if messages:
            # A commit that a rebalance refuses is repeated by the next owner's.
            try:
                consumer.commit(asynchronous=False)
            except KafkaException:
                pass
    consumer.close()


def group_of_three(program, context, strategy):
    topic = context.topic(partitions=6)

    def produce(count):
        return {(p, offset) for p in range(6) for offset in context.fill(topic, count, p)}

    arguments = [context.bootstrap, topic, unique("group"), strategy]
    harness.group_of_three(program, arguments, 6, produce)
