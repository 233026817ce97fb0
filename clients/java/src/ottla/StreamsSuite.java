package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.that;
import static ottla.Check.unique;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/** Kafka Streams while the broker, and the application itself, are killed at bad moments. */
final class StreamsSuite {
    private static final Duration RUN_TIME_MAX = Duration.ofMinutes(5);
    private static final int PARTITIONS = 4;
    private static final int CRASHES = 10;
    private static final int ROUND_LINES = 400;
    private static final int ROUND_PAIRS = 100;
    private static final Duration ROUND = Duration.ofSeconds(4);
    private static final int WORDS_PER_LINE = 4;
    private static final int VOCABULARY = 50;
    /** The crash after which the application has lost its state. */
    private static final int STATE_LOST = 5;
    private static final Duration CLEANED_WITHIN = Duration.ofSeconds(60);
    /** A crash comes when the application has counted so many words since the one before. */
    private static final int WORKED = ROUND_LINES;
    private static final Duration WORKED_WITHIN = Duration.ofSeconds(60);
    /** Every word was counted more often than this, so that a changelog with fewer records was compacted. */
    private static final int RECORDS_PER_WORD_MAX = 20;

    private final Cluster cluster;

    private StreamsSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) {
        StreamsSuite suite = new StreamsSuite(new Cluster(arguments[0]));
        Check checks = new Check("Kafka Streams");
        checks.add("at least once: every word is counted", RUN_TIME_MAX, suite::atLeastOnce);
        checks.add("exactly once over ten crashes of the broker and three of the application", RUN_TIME_MAX,
            suite::exactlyOnce);
        checks.run(arguments.length > 1 ? arguments[1] : "");
    }

    /** What goes in, and what must come out. */
    private final class Load implements AutoCloseable {
        final String id;
        final Random random = new Random(7);
        final Map<String, Integer> words = new TreeMap<>();
        final Map<String, List<String>> pairs = new TreeMap<>();
        final List<Future<RecordMetadata>> sent = new ArrayList<>();
        final KafkaProducer<byte[], byte[]> producer = cluster.producer(Map.of("acks", "all", "retries", Integer.MAX_VALUE));

        Load(String id) throws Exception {
            this.id = id;
            for (String topic : List.of(StreamsApp.lines(id), StreamsApp.counts(id), StreamsApp.left(id),
                    StreamsApp.right(id), StreamsApp.joined(id))) {
                cluster.create(topic, PARTITIONS, Map.of());
            }
        }

        /** Sends some lines and pairs, spread over `time`. */
        void round(Duration time) throws Exception {
            for (int i = 0; i < ROUND_LINES; i++) {
                StringBuilder line = new StringBuilder();
                for (int j = 0; j < WORDS_PER_LINE; j++) {
                    String word = "word" + random.nextInt(VOCABULARY);
                    words.merge(word, 1, Integer::sum);
                    line.append(j == 0 ? "" : " ").append(word);
                }
                send(StreamsApp.lines(id), "line" + random.nextInt(), line.toString());
                if (i % (ROUND_LINES / ROUND_PAIRS) == 0) {
                    String key = "pair" + pairs.size();
                    pairs.put(key, List.of("l" + key + "+r" + key));
                    send(StreamsApp.left(id), key, "l" + key);
                    send(StreamsApp.right(id), key, "r" + key);
                }
                Thread.sleep(time.toMillis() / ROUND_LINES);
            }
        }

        private void send(String topic, String key, String value) {
            sent.add(producer.send(new ProducerRecord<>(topic, bytes(key), bytes(value))));
        }

        /** Everything sent is acknowledged. */
        void flush() throws Exception {
            producer.flush();
            for (Future<RecordMetadata> future : sent) {
                future.get();
            }
        }

        @Override
        public void close() {
            producer.close(Duration.ZERO);
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private Service start(String id, Path state, String guarantee) throws IOException {
        return new Service(StreamsApp.class.getName(), cluster.bootstrap, id, state.toString(), guarantee);
    }

    private void atLeastOnce() throws Exception {
        String id = unique("streams");
        Path state = Files.createTempDirectory(id);
        try (Load load = new Load(id)) {
            try (Service app = start(id, state, "at_least_once")) {
                load.round(Duration.ZERO);
                load.flush();
                Map<String, List<String>> counts = read(StreamsApp.counts(id), Map.of(), total(load.words));
                load.words.forEach((word, count) ->
                    that(counts.getOrDefault(word, List.of()).contains(Integer.toString(count)), word + " reaches " + count));
                that(app.isAlive(), "the application runs to the end");
            }
        } finally {
            Service.remove(state);
        }
    }

    private void exactlyOnce() throws Exception {
        String id = unique("streams-eos");
        Path state = Files.createTempDirectory(id);
        try (Load load = new Load(id)) {
            try (Service app = start(id, state, "exactly_once_v2")) {
                long counted = 0;
                for (int crash = 0; crash < CRASHES; crash++) {
                    load.round(ROUND);
                    counted = works(load, counted);
                    if (crash == STATE_LOST) {
                        app.kill();
                        // Without its state the application begins with what the changelogs hold.
                        Service.remove(state);
                        isCompacted(load);
                    }
                    Service.crashBroker();
                    if (crash % 3 == 2) {
                        that(app.isAlive() == (crash != STATE_LOST), "the application runs until it is killed");
                        app.kill();
                        app.start();
                    }
                }
                load.round(ROUND);
                load.flush();
                check(load);
                that(app.isAlive(), "the application runs to the end");
            }
        } finally {
            Service.remove(state);
        }
    }

    /** Waits until the application has gone on; returns how far it has come. */
    private long works(Load load, long before) throws Exception {
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            ends.put(new TopicPartition(StreamsApp.counts(load.id), partition), OffsetSpec.latest());
        }
        ListOffsetsOptions committed = new ListOffsetsOptions(IsolationLevel.READ_COMMITTED);
        long[] counted = new long[1];
        eventually("the application goes on", WORKED_WITHIN, () -> {
            counted[0] = Cluster.get(cluster.admin.listOffsets(ends, committed).all()).values().stream()
                .mapToLong(ListOffsetsResultInfo::offset).sum();
            return counted[0] >= before + WORKED;
        });
        return counted[0];
    }

    /** The counts' changelog holds a small part of what was written to it, and something of every word. */
    private void isCompacted(Load load) throws Exception {
        int updates = total(load.words);
        int kept = RECORDS_PER_WORD_MAX * VOCABULARY;
        that(kept < updates / 2, "there is something to be compacted");
        int[] counted = new int[1];
        eventually("the changelog is compacted", CLEANED_WITHIN, () -> {
            Map<String, List<String>> found = read(StreamsApp.changelog(load.id), Map.of(), VOCABULARY);
            counted[0] = found.values().stream().mapToInt(List::size).sum();
            return found.size() == VOCABULARY && counted[0] <= kept;
        });
        System.out.printf("     %d counts, of which the changelog holds %d%n", updates, counted[0]);
    }

    /** Each word's counts are 1, 2, 3 and so on, each once; each pair is joined once. */
    private void check(Load load) throws Exception {
        Map<String, Object> committed = Map.of("isolation.level", "read_committed");
        Map<String, List<String>> counts = read(StreamsApp.counts(load.id), committed, total(load.words));
        for (Map.Entry<String, Integer> word : load.words.entrySet()) {
            List<String> expected = new ArrayList<>();
            for (int count = 1; count <= word.getValue(); count++) {
                expected.add(Integer.toString(count));
            }
            equal(counts.get(word.getKey()), expected, "counts of " + word.getKey());
        }
        equal(counts.keySet(), load.words.keySet(), "words");
        equal(read(StreamsApp.joined(load.id), committed, load.pairs.size()), load.pairs, "joined pairs");
        System.out.printf("     %d words in %d counts, %d pairs%n", load.words.size(), total(load.words), load.pairs.size());
    }

    private static int total(Map<String, Integer> words) {
        return words.values().stream().mapToInt(Integer::intValue).sum();
    }

    /** Values by key, in order, once there are `atLeast` of them and no more come. */
    private Map<String, List<String>> read(String topic, Map<String, Object> options, int atLeast) throws Exception {
        Map<String, List<String>> found = new TreeMap<>();
        int count = 0;
        long deadline = System.nanoTime() + Duration.ofMinutes(2).toNanos();
        Map<String, Object> config = new HashMap<>(options);
        config.put("auto.offset.reset", "earliest");
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(config)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                partitions.add(new TopicPartition(topic, partition));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            for (int idle = 0; idle < 4; ) {
                var records = consumer.poll(Duration.ofMillis(500));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    String key = new String(record.key(), StandardCharsets.UTF_8);
                    String value = new String(record.value(), StandardCharsets.UTF_8);
                    found.computeIfAbsent(key, none -> new ArrayList<>()).add(value);
                    count++;
                }
                idle = records.isEmpty() && count >= atLeast ? idle + 1 : 0;
                that(System.nanoTime() < deadline, topic + " holds " + atLeast + " records, got " + count);
            }
        }
        return found;
    }
}
