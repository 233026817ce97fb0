"""The first program a newcomer writes: ten messages to a topic that nobody created, read back by a group."""

import sys

from kafka import KafkaConsumer, KafkaProducer

bootstrap_servers = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"

producer = KafkaProducer(bootstrap_servers=bootstrap_servers, acks=1)
for i in range(10):
    producer.send("test-topic", key=b"partition", value=f"Message {i}".encode("utf-8"))
producer.flush()
producer.close()

consumer = KafkaConsumer(
    "test-topic",
    bootstrap_servers=bootstrap_servers,
    group_id="my-group",
    auto_offset_reset="earliest",
    consumer_timeout_ms=15000,
)
for count, message in enumerate(consumer, start=1):
    print(message.value.decode("utf-8"), flush=True)
    if count == 10:
        break
consumer.close()
