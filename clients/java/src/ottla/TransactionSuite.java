package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.fails;
import static ottla.Check.that;
import static ottla.Check.unique;
import static ottla.Cluster.bytes;
import static ottla.Cluster.equalRecords;
import static ottla.Cluster.get;
import static ottla.Cluster.offsets;
import static ottla.Cluster.send;
import static ottla.Cluster.take;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions with the Java client. */
final class TransactionSuite {
    private static final Map<String, Object> COMMITTED = Map.of("isolation.level", "read_committed");

    private final Cluster cluster;

    private TransactionSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) {
        TransactionSuite suite = new TransactionSuite(new Cluster(arguments[0]));
        Check checks = new Check("java transactions");
        checks.add("a commit shows a transaction in every partition at once", suite::commit);
        checks.add("an aborted transaction is never read", suite::abort);
        checks.add("an open transaction holds back what comes after it", suite::lastStable);
        checks.add("consume, transform, produce: exactly once over aborts and restarts", suite::transform);
        checks.add("a zombie is fenced by the next producer of its transactional id", suite::fencing);
        checks.add("a producer is fenced by an administrator", suite::fencedByAdmin);
        checks.add("a transaction that outlives its timeout is aborted", suite::timeout);
        checks.add("describe and list transactions, describe producers", suite::describe);
        checks.add("an administrator ends a transaction in one partition", suite::abortedByAdmin);
        checks.run(arguments.length > 1 ? arguments[1] : "");
    }

    private KafkaProducer<byte[], byte[]> transactional(String name, Map<String, Object> more) {
        Map<String, Object> options = new HashMap<>(Map.of("transactional.id", name));
        options.putAll(more);
        KafkaProducer<byte[], byte[]> producer = cluster.producer(options);
        producer.initTransactions();
        return producer;
    }

    private void silent(String topic, long offset, String what) {
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(COMMITTED)) {
            TopicPartition place = new TopicPartition(topic, 0);
            consumer.assign(List.of(place));
            consumer.seek(place, offset);
            equal(consumer.poll(Duration.ofSeconds(1)).count(), 0, what);
        }
    }

    private void commit() throws Exception {
        String topic = cluster.topic(2);
        try (var producer = transactional(unique("txn"), Map.of())) {
            producer.beginTransaction();
            for (int partition = 0; partition < 2; partition++) {
                send(producer, cluster.records(topic, partition, 10, ""));
            }
            equal(cluster.read(topic, 10).size(), 10, "read uncommitted before the commit");
            silent(topic, 0, "records of an open transaction");
            producer.commitTransaction();
        }
        for (int partition = 0; partition < 2; partition++) {
            equalRecords(cluster.read(topic, partition, 0, 10, COMMITTED), cluster.records(topic, partition, 10, ""));
        }
    }

    private void abort() throws Exception {
        String topic = cluster.topic(1);
        List<ProducerRecord<byte[], byte[]>> expected = new ArrayList<>();
        try (var producer = transactional(unique("txn"), Map.of())) {
            for (int i = 0; i < 5; i++) {
                producer.beginTransaction();
                List<ProducerRecord<byte[], byte[]>> records = cluster.records(topic, 0, 5, i + "-");
                send(producer, records);
                if (i % 2 == 0) {
                    producer.commitTransaction();
                    expected.addAll(records);
                } else {
                    producer.abortTransaction();
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> read = cluster.read(topic, 0, 0, 15, COMMITTED);
        equalRecords(read, expected);
        // Each end of a transaction is a record of its own.
        equal(offsets(read), List.of(0L, 1L, 2L, 3L, 4L, 12L, 13L, 14L, 15L, 16L, 24L, 25L, 26L, 27L, 28L), "offsets");
        equal(cluster.read(topic, 25).size(), 25, "read uncommitted");
    }

    private void lastStable() throws Exception {
        String topic = cluster.topic(1);
        cluster.fill(topic, 0, 3);
        try (var producer = transactional(unique("txn"), Map.of())) {
            producer.beginTransaction();
            send(producer, cluster.records(topic, 0, 2, ""));
            cluster.fill(topic, 0, 4);
            equal(offsets(cluster.read(topic, 0, 0, 3, COMMITTED)), List.of(0L, 1L, 2L), "before the transaction");
            silent(topic, 3, "records after an open transaction");
            TopicPartition place = new TopicPartition(topic, 0);
            var options = new ListOffsetsOptions(IsolationLevel.READ_COMMITTED);
            var latest = cluster.admin.listOffsets(Map.of(place, OffsetSpec.latest()), options);
            equal(get(latest.partitionResult(place)).offset(), 3L, "last stable offset");
            producer.abortTransaction();
        }
        equal(offsets(cluster.read(topic, 0, 0, 7, COMMITTED)), List.of(0L, 1L, 2L, 5L, 6L, 7L, 8L), "after the abort");
    }

    private void transform() throws Exception {
        String source = cluster.topic(1);
        String target = cluster.topic(1);
        String group = unique("group");
        String name = unique("txn");
        cluster.fill(source, 0, 30);
        for (boolean commit : List.of(true, false, true, false, true)) {
            transformOnce(source, target, group, name, commit);
        }
        List<String> values = cluster.read(target, 0, 0, 30, COMMITTED).stream().map(r -> text(r.value())).toList();
        equal(values, cluster.records(source, 0, 30, "").stream().map(r -> "seen " + text(r.value())).toList(), "values");
        TopicPartition place = new TopicPartition(source, 0);
        var committed = get(cluster.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
        equal(committed.get(place).offset(), 30L, "committed offset");
    }

    private static String text(byte[] value) {
        return value == null ? "none" : new String(value, StandardCharsets.UTF_8);
    }

    /** Moves ten records in one transaction. */
    private void transformOnce(String source, String target, String group, String name, boolean commit)
        throws Exception {
        Map<String, Object> options = new HashMap<>(COMMITTED);
        options.putAll(Map.of("group.id", group, "max.poll.records", 10));
        try (var producer = transactional(name, Map.of()); var consumer = cluster.consumer(options)) {
            consumer.subscribe(List.of(source));
            List<ConsumerRecord<byte[], byte[]>> batch = take(consumer, 10);
            producer.beginTransaction();
            for (ConsumerRecord<byte[], byte[]> record : batch) {
                producer.send(new ProducerRecord<>(target, record.key(), bytes("seen " + text(record.value()))));
            }
            long next = batch.get(9).offset() + 1;
            producer.sendOffsetsToTransaction(
                Map.of(new TopicPartition(source, 0), new OffsetAndMetadata(next)), consumer.groupMetadata());
            if (commit) {
                producer.commitTransaction();
            } else {
                producer.abortTransaction();
            }
        }
    }

    private void fencing() throws Exception {
        String topic = cluster.topic(1);
        String name = unique("txn");
        List<ProducerRecord<byte[], byte[]>> records = cluster.records(topic, 0, 3, "next");
        try (var zombie = transactional(name, Map.of())) {
            zombie.beginTransaction();
            send(zombie, cluster.records(topic, 0, 3, "zombie"));
            try (var next = transactional(name, Map.of())) {
                next.beginTransaction();
                send(next, records);
                fails(ProducerFencedException.class, zombie::commitTransaction);
                next.commitTransaction();
            }
        }
        equalRecords(cluster.read(topic, 0, 0, 3, COMMITTED), records);
    }

    private void fencedByAdmin() throws Exception {
        String topic = cluster.topic(1);
        String name = unique("txn");
        try (var producer = transactional(name, Map.of())) {
            producer.beginTransaction();
            send(producer, cluster.records(topic, 0, 3, ""));
            get(cluster.admin.fenceProducers(Set.of(name)).all());
            fails(KafkaException.class, producer::commitTransaction);
        }
        cluster.fill(topic, 0, 1);
        equal(offsets(cluster.read(topic, 0, 0, 1, COMMITTED)), List.of(4L), "the first record after the abort");
    }

    private void timeout() throws Exception {
        String topic = cluster.topic(1);
        try (var producer = transactional(unique("txn"), Map.of("transaction.timeout.ms", 2000))) {
            producer.beginTransaction();
            send(producer, cluster.records(topic, 0, 3, ""));
            cluster.fill(topic, 0, 2);
            equal(offsets(cluster.read(topic, 0, 0, 2, COMMITTED)), List.of(3L, 4L), "records after the abort");
            fails(KafkaException.class, producer::commitTransaction);
        }
    }

    private void describe() throws Exception {
        String topic = cluster.topic(1);
        String name = unique("txn");
        TopicPartition place = new TopicPartition(topic, 0);
        try (var producer = transactional(name, Map.of())) {
            producer.beginTransaction();
            send(producer, cluster.records(topic, 0, 2, ""));
            var described = get(cluster.admin.describeTransactions(List.of(name)).description(name));
            equal(described.state(), TransactionState.ONGOING, "state");
            equal(described.topicPartitions(), Set.of(place), "partitions");
            var listed = get(cluster.admin.listTransactions().all());
            that(listed.stream().anyMatch(t -> t.transactionalId().equals(name)), "listed");
            var producers = get(cluster.admin.describeProducers(List.of(place)).partitionResult(place)).activeProducers();
            equal(producers.size(), 1, "producers");
            equal(producers.get(0).producerId(), described.producerId(), "producer id");
            equal(producers.get(0).currentTransactionStartOffset().getAsLong(), 0L, "start of the transaction");
            producer.commitTransaction();
            eventually("the transaction is complete", () ->
                get(cluster.admin.describeTransactions(List.of(name)).description(name)).state()
                    == TransactionState.COMPLETE_COMMIT);
        }
    }

    private void abortedByAdmin() throws Exception {
        String topic = cluster.topic(1);
        TopicPartition place = new TopicPartition(topic, 0);
        try (var producer = transactional(unique("txn"), Map.of())) {
            producer.beginTransaction();
            send(producer, cluster.records(topic, 0, 3, ""));
            cluster.fill(topic, 0, 2);
            silent(topic, 0, "records after an open transaction");
            var open = get(cluster.admin.describeProducers(List.of(place)).partitionResult(place)).activeProducers().stream()
                .filter(state -> state.currentTransactionStartOffset().isPresent()).findFirst().orElseThrow();
            var abort = new AbortTransactionSpec(place, open.producerId(), (short) open.producerEpoch(),
                open.coordinatorEpoch().orElse(0));
            get(cluster.admin.abortTransaction(abort).all());
            equal(offsets(cluster.read(topic, 0, 0, 2, COMMITTED)), List.of(3L, 4L), "records after the abort");
            var stale = new AbortTransactionSpec(place, open.producerId(), (short) (open.producerEpoch() - 1), 0);
            fails(KafkaException.class, () -> get(cluster.admin.abortTransaction(stale).all()));
        }
    }
}
