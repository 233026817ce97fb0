package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.that;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Spark: Structured Streaming counts the committed words of a topic into another one; and topics are tables. */
final class SparkSuite {
    private static final Duration LIMIT = Duration.ofMinutes(5);
    private static final Duration PATIENCE = Duration.ofMinutes(3);
    /** Spark refuses to start with less. */
    private static final String HEAP = "-Xmx640m";
    private static final int ROWS = 1000;

    private final Cluster cluster;
    private final Words words;
    private final Path home;
    private Service query;

    private SparkSuite(Cluster cluster) throws Exception {
        this.cluster = cluster;
        words = new Words(cluster, "spark");
        home = Files.createTempDirectory(words.out);
    }

    public static void main(String[] arguments) throws Exception {
        SparkSuite suite = new SparkSuite(new Cluster(arguments[0]));
        Check checks = new Check("Spark");
        checks.add("committed words are read, counted and written", LIMIT, suite::count);
        checks.add("the query goes on over crashes of the broker", LIMIT, suite::brokerCrash);
        checks.add("a query that was killed goes on from its checkpoint", LIMIT, suite::restart);
        checks.add("a topic is a table from a time on, and its rows are written as records", LIMIT, suite::table);
        checks.run(arguments.length > 1 ? arguments[1] : "", suite::stop);
    }

    private void stop() {
        words.close();
        try {
            if (query != null) {
                query.close();
            }
            Service.remove(home);
        } catch (Exception error) {
            System.out.println("     " + error);
        }
    }

    /** Starts the query with the first check that wants it. */
    private Service query() throws Exception {
        if (query == null) {
            query = Service.ofFramework(HEAP, "ottla.SparkApp",
                cluster.bootstrap, words.in, words.out, home.resolve("checkpoint").toString());
        }
        return query;
    }

    private void count() throws Exception {
        words.send();
        query();
        counted();
    }

    private void brokerCrash() throws Exception {
        query();
        for (int crash = 0; crash < 2; crash++) {
            words.send(Service::crashBroker);
        }
        counted();
    }

    private void restart() throws Exception {
        words.send(query()::kill);
        query.start();
        counted();
    }

    /** The last count of each word is what was sent; a batch may be written again, but no count goes beyond. */
    private void counted() throws Exception {
        eventually("all words counted", PATIENCE, () -> {
            that(query.isAlive(), "the query runs");
            return last().equals(words.expected());
        });
    }

    private Map<String, Integer> last() {
        Map<String, Integer> last = new TreeMap<>();
        words.counts().forEach((word, counts) -> {
            counts.forEach(count ->
                that(count <= words.expected().getOrDefault(word, 0), word + " was counted " + count + " times"));
            last.put(word, counts.get(counts.size() - 1));
        });
        return last;
    }

    private void table() throws Exception {
        String from = Check.unique("spark-table");
        String to = Check.unique("spark-rows");
        for (String topic : List.of(from, to)) {
            cluster.create(topic, Words.PARTITIONS, Map.of());
        }
        for (int partition = 0; partition < Words.PARTITIONS; partition++) {
            cluster.fill(from, partition, ROWS);
        }
        // Records are ten milliseconds apart.
        long time = cluster.baseMs + ROWS / 2 * 10L;
        try (Service copy = Service.ofFramework(
                HEAP, "ottla.SparkCopy", cluster.bootstrap, from, Long.toString(time), to)) {
            equal(copy.join(), 0, "exit of the copying program");
        }
        List<String> expected = describe(from, time);
        equal(expected.size(), Words.PARTITIONS * ROWS / 2, "records from the time on");
        equal(describe(to, 0), expected, "rows");
    }

    /** The records of a topic from a time on, sorted. */
    private List<String> describe(String topic, long time) {
        List<String> records = new ArrayList<>();
        for (ConsumerRecord<byte[], byte[]> record : words.committed(topic)) {
            if (record.timestamp() >= time) {
                records.add("%d %s %s %s".formatted(
                    record.partition(), text(record.key()), text(record.value()), Arrays.toString(record.headers().toArray())));
            }
        }
        records.sort(null);
        return records;
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "none" : new String(bytes, StandardCharsets.UTF_8);
    }
}
