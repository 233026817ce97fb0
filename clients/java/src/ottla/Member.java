package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * A group member in a process of its own, so that it can be killed like one.
 *
 * It prints "assigned 0,2" when its partitions change and "got PARTITION OFFSET" for each record; a closed
 * standard input asks it to leave.
 */
final class Member {
    private static final Duration REBALANCE_TIME_MAX = Duration.ofSeconds(40);

    private final Process process;
    private final List<String> log = new CopyOnWriteArrayList<>();
    private final Set<String> got = ConcurrentHashMap.newKeySet();
    private volatile Set<Integer> assigned = Set.of();

    Member(String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
            ProcessHandle.current().info().command().orElse("java"),
            "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", System.getProperty("java.class.path"), Member.class.getName()));
        command.addAll(List.of(arguments));
        process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Thread reader = new Thread(this::readAll);
        reader.setDaemon(true);
        reader.start();
    }

    private void readAll() {
        try (BufferedReader lines = process.inputReader()) {
            lines.lines().forEach(this::read);
        } catch (IOException | RuntimeException ended) {
            log.add("ended: " + ended);
        }
    }

    private void read(String line) {
        log.add(line);
        String[] words = line.split(" ");
        if (words[0].equals("assigned")) {
            assigned = words.length < 2 ? Set.of() : java.util.Arrays.stream(words[1].split(","))
                .map(Integer::valueOf).collect(Collectors.toSet());
        } else if (words[0].equals("got")) {
            got.add(words[1] + " " + words[2]);
        }
    }

    Set<Integer> assigned() {
        return assigned;
    }

    void leave() throws Exception {
        process.getOutputStream().close();
        process.waitFor();
        assigned = Set.of();
    }

    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
        assigned = Set.of();
    }

    static boolean shared(int partitions, Member... members) {
        List<Integer> all = new ArrayList<>();
        for (Member member : members) {
            if (member.assigned.isEmpty()) {
                return false;
            }
            all.addAll(member.assigned);
        }
        return all.stream().sorted().toList().equals(IntStream.range(0, partitions).boxed().toList());
    }

    private static void wait(String what, List<Member> members, java.util.concurrent.Callable<Boolean> condition)
        throws Exception {
        try {
            eventually(what, REBALANCE_TIME_MAX, condition);
        } catch (AssertionError error) {
            String logs = members.stream()
                .map(m -> m.log.subList(Math.max(0, m.log.size() - 6), m.log.size()).toString())
                .collect(Collectors.joining("; "));
            throw new AssertionError(error.getMessage() + "; members: " + logs);
        }
    }

    /** Three members share the partitions; one leaves, one is killed, and the last one has them all. */
    static void groupOfThree(Cluster cluster, String strategy) throws Exception {
        int partitions = 6;
        String topic = cluster.topic(partitions);
        String group = Check.unique("group");
        List<Member> members = new ArrayList<>();
        try {
            for (int i = 0; i < 3; i++) {
                members.add(new Member(cluster.bootstrap, topic, group, strategy, "member-" + i));
            }
            Member first = members.get(0);
            wait("three members share the partitions", members,
                () -> shared(partitions, members.toArray(new Member[0])));
            Set<String> before = fillAll(cluster, topic, partitions);
            wait("three members got every record", members,
                () -> before.stream().allMatch(r -> members.stream().anyMatch(m -> m.got.contains(r))));
            members.get(1).leave();
            wait("two members share the partitions after a leave", members,
                () -> shared(partitions, first, members.get(2)));
            members.get(2).kill();
            wait("one member has every partition after a death", members, () -> shared(partitions, first));
            Set<String> after = fillAll(cluster, topic, partitions);
            wait("the last member got every record", members, () -> first.got.containsAll(after));
            first.leave();
        } finally {
            for (Member member : members) {
                member.kill();
            }
        }
    }

    private static Set<String> fillAll(Cluster cluster, String topic, int partitions) throws Exception {
        Set<String> places = new TreeSet<>();
        for (int partition = 0; partition < partitions; partition++) {
            for (long offset : cluster.fill(topic, partition, 5)) {
                places.add(partition + " " + offset);
            }
        }
        return places;
    }

    /** A static member that restarts within its session gets its own back, and nobody sees a rebalance. */
    static void staticMembers(Cluster cluster, String strategy) throws Exception {
        String topic = cluster.topic(4);
        String group = Check.unique("group");
        Member a = new Member(cluster.bootstrap, topic, group, strategy, "a");
        Member b = new Member(cluster.bootstrap, topic, group, strategy, "b");
        try {
            Member second = b;
            wait("both members have partitions", List.of(a, b), () -> shared(4, a, second));
            Set<Integer> had = b.assigned;
            int seen = a.log.size();
            b.leave();
            b = new Member(cluster.bootstrap, topic, group, strategy, "b");
            Member restarted = b;
            wait("the restarted member has partitions", List.of(a, b), () -> !restarted.assigned.isEmpty());
            equal(b.assigned, had, "partitions after the restart");
            equal(a.log.subList(seen, a.log.size()).toString(), "[]", "what the other member saw");
        } finally {
            a.kill();
            b.kill();
        }
    }

    /** The body of a member's process: BOOTSTRAP TOPIC GROUP STRATEGY NAME. */
    public static void main(String[] arguments) throws Exception {
        AtomicBoolean leave = new AtomicBoolean();
        Thread listener = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (IOException closed) {
                // As good as a request to leave.
            }
            leave.set(true);
        });
        listener.setDaemon(true);
        listener.start();
        Cluster cluster = new Cluster(arguments[0]);
        Map<String, Object> options = options(arguments[3], arguments[4]);
        options.put("group.id", arguments[2]);
        options.put("client.id", arguments[4]);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(options)) {
            consumer.subscribe(List.of(arguments[1]), new Printer());
            while (!leave.get()) {
                Iterable<ConsumerRecord<byte[], byte[]>> records = consumer.poll(Duration.ofMillis(100));
                boolean any = false;
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    System.out.println("got " + record.partition() + " " + record.offset());
                    any = true;
                }
                if (any) {
                    commit(consumer);
                }
            }
        }
        Runtime.getRuntime().halt(0);
    }

    private static void commit(KafkaConsumer<byte[], byte[]> consumer) {
        try {
            consumer.commitSync();
        } catch (KafkaException refused) {
            // A commit that a rebalance refuses is repeated by the next owner's.
        }
    }

    private static Map<String, Object> options(String strategy, String name) {
        String assignor = "org.apache.kafka.clients.consumer.";
        return new HashMap<>(switch (strategy) {
            case "range" -> Map.of("partition.assignment.strategy", assignor + "RangeAssignor");
            case "cooperative-sticky" ->
                Map.of("partition.assignment.strategy", assignor + "CooperativeStickyAssignor");
            case "static" -> Map.of("group.instance.id", name, "session.timeout.ms", 20000);
            case "consumer" -> Map.of("group.protocol", "consumer");
            case "consumer-static" -> Map.of("group.protocol", "consumer", "group.instance.id", name);
            default -> throw new IllegalArgumentException(strategy);
        });
    }

    /** Prints the partitions that the member has after each change. */
    private static final class Printer implements ConsumerRebalanceListener {
        private final Set<Integer> partitions = new TreeSet<>();

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
            revoked.forEach(p -> partitions.remove(p.partition()));
            print();
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
            added.forEach(p -> partitions.add(p.partition()));
            print();
        }

        private void print() {
            String list = partitions.stream().map(String::valueOf).collect(Collectors.joining(","));
            System.out.println("assigned " + list);
        }
    }
}
