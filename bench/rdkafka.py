"""Produces or consumes with librdkafka, as `cargo xtask bench` asks, and prints the figures as one JSON object.

The names are those of `ottla bench --output json`. Python holds librdkafka back, so the broker's CPU per GB is what
such a run is for.
"""

import argparse
import json
import resource
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

# How long nothing may arrive before a run counts as failed.
PATIENCE_SECONDS = 60


def produce(args):
    errors = 0

    def delivered(error, _message):
        nonlocal errors
        errors += error is not None

    producer = Producer({
        "bootstrap.servers": args.bootstrap_server,
        "acks": args.acks,
        "linger.ms": 5,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 200_000,
    })
    value = b"x" * args.record_size
    for _ in range(args.records):
        while True:
            try:
                producer.produce(args.topic, value, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    if producer.flush(PATIENCE_SECONDS):
        sys.exit("not everything was delivered")
    return args.records, args.records * args.record_size, errors


def consume(args):
    consumer = Consumer({
        "bootstrap.servers": args.bootstrap_server,
        "group.id": "rdkafka",
        "enable.auto.commit": False,
        "check.crcs": True,
    })
    metadata = consumer.list_topics(args.topic, timeout=PATIENCE_SECONDS)
    partitions = metadata.topics[args.topic].partitions
    consumer.assign([TopicPartition(args.topic, partition, 0) for partition in partitions])
    records = size = 0
    while records < args.records:
        messages = consumer.consume(10_000, timeout=PATIENCE_SECONDS)
        if not messages:
            sys.exit(f"nothing arrived for {PATIENCE_SECONDS} s")
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            size += len(message.value())
        records += len(messages)
    consumer.close()
    return records, size, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["produce", "consume"])
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--record-size", type=int, default=1024)
    parser.add_argument("--acks", default="all")
    args = parser.parse_args()
    began = time.monotonic()
    records, size, errors = (produce if args.command == "produce" else consume)(args)
    seconds = time.monotonic() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "command": args.command,
        "seconds": seconds,
        "records": records,
        "bytes": size,
        "errors": errors,
        "records_per_second": records / seconds,
        "bytes_per_second": size / seconds,
        "client_cpu_seconds": usage.ru_utime + usage.ru_stime,
    }))


main()
