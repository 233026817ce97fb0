package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A broker under test: clients with short waits, and helpers around them. */
final class Cluster implements AutoCloseable {
    static final int SESSION_TIMEOUT_MS = 6000;
    static final int HEARTBEAT_INTERVAL_MS = 500;

    final String bootstrap;
    final Admin admin;
    /** An hour ago: young enough for retention, clearly not the time of the append. */
    final long baseMs = System.currentTimeMillis() / 1000 * 1000 - 3_600_000;

    Cluster(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    @Override
    public void close() {
        admin.close();
    }

    /** Waits for an answer of the admin client. */
    static <T> T get(Future<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    String topic(int partitions) throws Exception {
        return topic(partitions, Map.of());
    }

    String topic(int partitions, Map<String, String> configs) throws Exception {
        String name = Check.unique("java");
        create(name, partitions, configs);
        return name;
    }

    void create(String name, int partitions, Map<String, String> configs) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all());
        eventually("metadata of " + name, () -> {
            try {
                return get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).partitions().size() == partitions;
            } catch (Exception notYet) {
                return false;
            }
        });
    }

    KafkaProducer<byte[], byte[]> producer(Map<String, Object> options) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 5));
        config.putAll(options);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> options) {
        Map<String, Object> config = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrap, "enable.auto.commit", false, "auto.offset.reset", "earliest"));
        if (!"consumer".equals(options.get("group.protocol"))) {
            config.put("session.timeout.ms", SESSION_TIMEOUT_MS);
            config.put("heartbeat.interval.ms", HEARTBEAT_INTERVAL_MS);
        }
        config.putAll(options);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Records of every shape: no key, no value, empty, unicode. */
    List<ProducerRecord<byte[], byte[]>> records(String topic, int partition, int count, String tag) {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] key = i % 5 == 4 ? null : bytes("key-" + tag + i);
            byte[] value = bytes(i % 7 == 5 ? "" : ("value-" + tag + i + "-é-").repeat(1 + i % 4 * 20));
            List<Header> headers = i % 3 != 0 ? List.of() : List.of(
                new RecordHeader("index", bytes("" + i)),
                new RecordHeader("twice", bytes("1")),
                new RecordHeader("twice", bytes("2")),
                new RecordHeader("none", null));
            records.add(new ProducerRecord<>(topic, partition, baseMs + i * 10L, key, i % 7 == 3 ? null : value, headers));
        }
        return records;
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Sends the records in order and returns the offsets that they got. */
    static List<Long> send(KafkaProducer<byte[], byte[]> producer, List<ProducerRecord<byte[], byte[]>> records)
        throws Exception {
        List<Future<RecordMetadata>> sent = records.stream().map(producer::send).toList();
        producer.flush();
        List<Long> offsets = new ArrayList<>();
        for (Future<RecordMetadata> one : sent) {
            offsets.add(get(one).offset());
        }
        return offsets;
    }

    List<Long> produce(List<ProducerRecord<byte[], byte[]>> records, Map<String, Object> options) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(options)) {
            return send(producer, records);
        }
    }

    List<Long> fill(String topic, int partition, int count) throws Exception {
        return produce(records(topic, partition, count, ""), Map.of());
    }

    /** `count` records from `offset` on. */
    List<ConsumerRecord<byte[], byte[]>> read(
        String topic, int partition, long offset, int count, Map<String, Object> options) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(options)) {
            TopicPartition place = new TopicPartition(topic, partition);
            consumer.assign(List.of(place));
            consumer.seek(place, offset);
            return take(consumer, count);
        }
    }

    List<ConsumerRecord<byte[], byte[]>> read(String topic, int count) throws Exception {
        return read(topic, 0, 0, count, Map.of());
    }

    /** Polls until `count` records have come. */
    static List<ConsumerRecord<byte[], byte[]>> take(KafkaConsumer<byte[], byte[]> consumer, int count)
        throws Exception {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        eventually(count + " records", () -> {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            return records.size() >= count;
        });
        equal(records.size(), count, "records read");
        return records;
    }

    static List<Long> offsets(List<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(ConsumerRecord::offset).toList();
    }

    static void equalRecords(
        List<ConsumerRecord<byte[], byte[]>> actual, List<ProducerRecord<byte[], byte[]>> expected) {
        equal(actual.size(), expected.size(), "number of records");
        for (int i = 0; i < actual.size(); i++) {
            ConsumerRecord<byte[], byte[]> a = actual.get(i);
            ProducerRecord<byte[], byte[]> e = expected.get(i);
            equal(
                describe(a.key(), a.value(), a.headers().toArray(), a.timestamp()),
                describe(e.key(), e.value(), e.headers().toArray(), e.timestamp()),
                "record " + i);
        }
    }

    private static String describe(byte[] key, byte[] value, Header[] headers, long timestamp) {
        return text(key) + " " + text(value) + " " + Arrays.toString(headers) + " " + timestamp;
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "none" : "'" + new String(bytes, StandardCharsets.UTF_8) + "'";
    }
}
