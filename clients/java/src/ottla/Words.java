package ottla;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Words for an application that counts them: sent in transactions of which some are aborted, and what must come out. */
final class Words implements AutoCloseable {
    static final int PARTITIONS = 3;
    private static final int TRANSACTIONS = 10;
    private static final int WORDS_PER_TRANSACTION = 100;
    private static final int VOCABULARY = 20;
    /** Between two words, so that a crash finds the application at work. */
    private static final long PAUSE_MS = 2;
    /** What stands in records that nobody must count. */
    private static final String ABORTED = "aborted";

    final String in;
    final String out;
    private final Cluster cluster;
    private final Random random = new Random(11);
    private final Map<String, Integer> sent = new TreeMap<>();
    private final KafkaProducer<byte[], byte[]> producer;

    /** Makes the topics for the words and for their counts. */
    Words(Cluster cluster, String prefix) throws Exception {
        this.cluster = cluster;
        in = Check.unique(prefix + "-words");
        out = Check.unique(prefix + "-counts");
        cluster.create(in, PARTITIONS, Map.of());
        cluster.create(out, PARTITIONS, Map.of());
        producer = cluster.producer(Map.of("transactional.id", in, "acks", "all"));
        producer.initTransactions();
    }

    @Override
    public void close() {
        producer.close(Duration.ZERO);
    }

    void send() throws Exception {
        send(() -> { });
    }

    /** Sends some transactions; within one in their midst `midst` happens. */
    void send(Check.Body midst) throws Exception {
        for (int transaction = 0; transaction < TRANSACTIONS; transaction++) {
            boolean isAborted = transaction % 3 == 1;
            producer.beginTransaction();
            for (int i = 0; i < WORDS_PER_TRANSACTION; i++) {
                String word = isAborted ? ABORTED : "word" + random.nextInt(VOCABULARY);
                if (!isAborted) {
                    sent.merge(word, 1, Integer::sum);
                }
                producer.send(new ProducerRecord<>(in, word.getBytes(StandardCharsets.UTF_8)));
                Thread.sleep(PAUSE_MS);
                if (transaction == TRANSACTIONS / 2 && i == WORDS_PER_TRANSACTION / 2) {
                    midst.run();
                }
            }
            producer.flush();
            if (isAborted) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
            }
        }
    }

    /** How often each word was committed. */
    Map<String, Integer> expected() {
        return sent;
    }

    /** The counts of each word that are committed by now, in order. */
    Map<String, List<Integer>> counts() {
        Map<String, List<Integer>> counts = new TreeMap<>();
        for (ConsumerRecord<byte[], byte[]> record : committed(out)) {
            counts.computeIfAbsent(text(record.key()), word -> new ArrayList<>()).add(Integer.valueOf(text(record.value())));
        }
        return counts;
    }

    /** What a topic holds that is committed by now, in order within each partition. */
    List<ConsumerRecord<byte[], byte[]>> committed(String topic) {
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        List<TopicPartition> partitions = new ArrayList<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            partitions.add(new TopicPartition(topic, partition));
        }
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(Map.of("isolation.level", "read_committed"))) {
            consumer.assign(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            consumer.seekToBeginning(partitions);
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                consumer.poll(Duration.ofMillis(500)).forEach(found::add);
            }
        }
        return found;
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
