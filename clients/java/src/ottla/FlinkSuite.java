package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.that;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/** A Flink job that reads committed words and writes each count exactly once, with transactions tied to checkpoints. */
final class FlinkSuite {
    private static final Duration LIMIT = Duration.ofMinutes(4);
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    private static final int CRASHES = 5;
    private static final int KILLS = 3;

    private final Words words;
    private final Path home;
    private final Service job;

    private FlinkSuite(Cluster cluster) throws Exception {
        words = new Words(cluster, "flink");
        home = Files.createTempDirectory(words.out);
        job = Service.ofFramework(
            "-Xmx512m", "ottla.FlinkApp", cluster.bootstrap, words.in, words.out, home.resolve("checkpoints").toString());
    }

    public static void main(String[] arguments) throws Exception {
        FlinkSuite suite = new FlinkSuite(new Cluster(arguments[0]));
        Check checks = new Check("Flink");
        checks.add("committed words are counted, each count is committed once", LIMIT, suite::count);
        checks.add("the same over a crash of the broker", LIMIT, suite::brokerCrash);
        checks.add("the same over a job that is killed and goes on from its checkpoint", LIMIT, suite::restart);
        checks.run(arguments.length > 1 ? arguments[1] : "", suite::stop);
    }

    private void stop() {
        words.close();
        try {
            job.close();
            Service.remove(home);
        } catch (Exception error) {
            System.out.println("     " + error);
        }
    }

    private void count() throws Exception {
        words.send();
        counted();
    }

    private void brokerCrash() throws Exception {
        for (int crash = 0; crash < CRASHES; crash++) {
            words.send(Service::crashBroker);
        }
        counted();
    }

    private void restart() throws Exception {
        for (int kill = 0; kill < KILLS; kill++) {
            words.send(job::kill);
            job.start();
        }
        counted();
    }

    /** Each word's counts are 1, 2, 3 and so on, each once and in order. */
    private void counted() throws Exception {
        Map<String, List<Integer>> expected = new TreeMap<>();
        words.expected().forEach((word, count) -> expected.put(word, IntStream.rangeClosed(1, count).boxed().toList()));
        int total = expected.values().stream().mapToInt(List::size).sum();
        eventually("all words counted", PATIENCE, () -> {
            that(job.isAlive(), "the job runs");
            return words.counts().values().stream().mapToInt(List::size).sum() >= total;
        });
        equal(words.counts(), expected, "counts");
    }
}
