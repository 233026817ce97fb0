package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.that;
import static ottla.Check.unique;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/** Spark Structured Streaming, whose class path is in OTTLA_SPARK_CLASSPATH: it reads a topic and writes another. */
final class SparkSuite {
    private static final Duration LIMIT = Duration.ofMinutes(5);
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final int PARTITIONS = 3;
    private static final int WORDS = 1000;
    private static final int VOCABULARY = 20;
    /** What Spark's own scripts open to it on Java 17. */
    private static final List<String> OPENED = List.of(
        "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
        "java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs",
        "sun.security.action", "sun.util.calendar");

    private final Cluster cluster;
    private final String in = unique("spark-in");
    private final String out = unique("spark-out");
    private final Map<String, Integer> words = new TreeMap<>();
    private final Random random = new Random(11);
    private Path home;
    private Service app;

    private SparkSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) throws Exception {
        SparkSuite suite = new SparkSuite(new Cluster(arguments[0]));
        suite.home = Files.createTempDirectory("spark");
        Check checks = new Check("Spark Structured Streaming");
        checks.add("a topic is read, counted and written", LIMIT, suite::count);
        checks.add("the query goes on over a crash of the broker", LIMIT, suite::brokerCrash);
        checks.add("a query that was killed goes on from its checkpoint", LIMIT, suite::restart);
        checks.run(arguments.length > 1 ? arguments[1] : "", suite::stop);
    }

    private void stop() {
        try {
            if (app != null) {
                app.close();
            }
            Service.remove(home);
        } catch (Exception error) {
            System.out.println("     " + error);
        }
    }

    private void send() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = cluster.producer(Map.of("acks", "all"))) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (int i = 0; i < WORDS; i++) {
                String word = "word" + random.nextInt(VOCABULARY);
                words.merge(word, 1, Integer::sum);
                futures.add(producer.send(new ProducerRecord<>(in, word.getBytes(StandardCharsets.UTF_8))));
            }
            for (Future<RecordMetadata> future : futures) {
                Cluster.get(future);
            }
        }
    }

    private void count() throws Exception {
        cluster.create(in, PARTITIONS, Map.of());
        cluster.create(out, 1, Map.of());
        send();
        // Spark refuses to start with less.
        List<String> flags = new ArrayList<>(List.of("-Xmx640m"));
        OPENED.forEach(name -> flags.add("--add-opens=java.base/" + name + "=ALL-UNNAMED"));
        app = new Service(flags, System.getenv("OTTLA_SPARK_CLASSPATH"), "ottla.SparkApp", home,
            cluster.bootstrap, in, out, home.resolve("checkpoint").toString());
        counted();
    }

    private void brokerCrash() throws Exception {
        send();
        Service.crashBroker();
        send();
        counted();
        that(app.isAlive(), "the query runs");
    }

    private void restart() throws Exception {
        send();
        app.kill();
        send();
        app.start();
        counted();
    }

    /** The last count of each word is what was sent, and no count was ever higher. */
    private void counted() throws Exception {
        eventually("all words counted", PATIENCE, () -> {
            that(app.isAlive(), "the query runs");
            return counts().equals(words);
        });
        equal(counts(), words, "counts");
    }

    private Map<String, Integer> counts() {
        Map<String, Integer> counts = new TreeMap<>();
        TopicPartition partition = new TopicPartition(out, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(Map.of())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            for (int idle = 0; idle < 2; ) {
                var records = consumer.poll(Duration.ofMillis(500));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    String word = new String(record.key(), StandardCharsets.UTF_8);
                    int count = Integer.parseInt(new String(record.value(), StandardCharsets.UTF_8));
                    that(count <= words.getOrDefault(word, 0), word + " counted " + count + " times");
                    counts.put(word, count);
                }
                idle = records.isEmpty() ? idle + 1 : 0;
            }
        }
        return counts;
    }
}
