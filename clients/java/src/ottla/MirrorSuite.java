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
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** MirrorMaker 2 from the broker under test to a second one, named by OTTLA_SECOND_BOOTSTRAP. */
final class MirrorSuite {
    private static final Duration LIMIT = Duration.ofMinutes(3);
    private static final Duration PATIENCE = Duration.ofSeconds(120);
    private static final int RECORDS = 100;
    private static final long CONSUMED = 60;

    private final Cluster source;
    private final Cluster target;
    private final String topic = unique("mirrored");
    private final String group = unique("readers");
    private int sent;
    private Path home;
    private Service mirror;

    private MirrorSuite(Cluster source, Cluster target) {
        this.source = source;
        this.target = target;
    }

    public static void main(String[] arguments) throws Exception {
        MirrorSuite suite = new MirrorSuite(
            new Cluster(arguments[0]), new Cluster(System.getenv("OTTLA_SECOND_BOOTSTRAP")));
        suite.home = Files.createTempDirectory(suite.topic);
        Check checks = new Check("MirrorMaker 2");
        checks.add("records and configurations of a topic are mirrored", LIMIT, suite::records);
        checks.add("heartbeats arrive", LIMIT, suite::heartbeats);
        checks.add("offsets of a group are translated", LIMIT, suite::offsets);
        checks.add("a source that crashes is mirrored on, and nothing is lost", LIMIT, suite::crash);
        checks.run(arguments.length > 1 ? arguments[1] : "", suite::stop);
    }

    private void stop() {
        try {
            if (mirror != null) {
                mirror.close();
            }
            Service.remove(home);
        } catch (Exception error) {
            System.out.println("     " + error);
        }
    }

    private void start() throws Exception {
        Path file = Service.properties(home, "mm2.properties", Map.ofEntries(
            Map.entry("clusters", "a, b"),
            Map.entry("a.bootstrap.servers", source.bootstrap),
            Map.entry("b.bootstrap.servers", target.bootstrap),
            Map.entry("a->b.enabled", true),
            Map.entry("a->b.topics", topic),
            Map.entry("a->b.groups", group),
            Map.entry("b->a.enabled", false),
            Map.entry("a->b.sync.group.offsets.enabled", true),
            Map.entry("a->b.sync.group.offsets.interval.seconds", 1),
            Map.entry("a->b.emit.checkpoints.interval.seconds", 1),
            Map.entry("a->b.refresh.topics.interval.seconds", 2),
            Map.entry("a->b.refresh.groups.interval.seconds", 2),
            Map.entry("a->b.sync.topic.configs.interval.seconds", 2),
            Map.entry("a->b.offset.lag.max", 0),
            Map.entry("consumer.auto.offset.reset", "earliest"),
            Map.entry("replication.factor", 1),
            Map.entry("heartbeats.topic.replication.factor", 1),
            Map.entry("checkpoints.topic.replication.factor", 1),
            Map.entry("offset-syncs.topic.replication.factor", 1),
            Map.entry("config.storage.replication.factor", 1),
            Map.entry("offset.storage.replication.factor", 1),
            Map.entry("status.storage.replication.factor", 1)));
        mirror = new Service("org.apache.kafka.connect.mirror.MirrorMaker", file.toString());
    }

    private void send() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = source.producer(Map.of("acks", "all"))) {
            List<java.util.concurrent.Future<?>> futures = new ArrayList<>();
            for (int i = 0; i < RECORDS; i++) {
                byte[] value = ("record " + sent++).getBytes(StandardCharsets.UTF_8);
                futures.add(producer.send(new ProducerRecord<>(topic, 0, null, value)));
            }
            for (var future : futures) {
                Cluster.get(future);
            }
        }
    }

    /** The distinct values of the mirrored topic, in order. */
    private List<String> mirrored() {
        List<String> values = new ArrayList<>();
        TopicPartition partition = new TopicPartition("a." + topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = target.consumer(Map.of("allow.auto.create.topics", false))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            for (int idle = 0; idle < 2; ) {
                var records = consumer.poll(Duration.ofMillis(500));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    String value = new String(record.value(), StandardCharsets.UTF_8);
                    if (!values.contains(value)) {
                        values.add(value);
                    }
                }
                idle = records.isEmpty() ? idle + 1 : 0;
            }
        }
        return values;
    }

    private List<String> expected() {
        List<String> values = new ArrayList<>();
        for (int i = 0; i < sent; i++) {
            values.add("record " + i);
        }
        return values;
    }

    private void records() throws Exception {
        source.create(topic, 2, Map.of("retention.ms", "123456789"));
        send();
        start();
        eventually("the topic is there", PATIENCE,
            () -> Cluster.get(target.admin.listTopics().names()).contains("a." + topic));
        eventually("all records", PATIENCE, () -> mirrored().size() >= sent);
        equal(mirrored(), expected(), "records");
        var described = Cluster.get(target.admin.describeTopics(List.of("a." + topic)).allTopicNames());
        equal(described.get("a." + topic).partitions().size(), 2, "partitions");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, "a." + topic);
        eventually("its configuration", PATIENCE, () -> Cluster.get(target.admin.describeConfigs(List.of(resource)).all())
            .get(resource).get("retention.ms").value().equals("123456789"));
    }

    private void heartbeats() throws Exception {
        eventually("heartbeats of the source", PATIENCE,
            () -> Cluster.get(target.admin.listTopics().names()).contains("heartbeats"));
    }

    private void offsets() throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = source.consumer(Map.of("group.id", group))) {
            consumer.assign(List.of(partition));
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(CONSUMED)));
        }
        // Checkpoints are made of records that are mirrored from now on.
        send();
        TopicPartition remote = new TopicPartition("a." + topic, 0);
        eventually("the group's offset at the target", PATIENCE, () -> {
            var found = Cluster.get(target.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(remote);
            // A translation is never ahead, and may lie behind by what lies between two syncs.
            return found != null && found.offset() > 0 && found.offset() <= CONSUMED;
        });
    }

    private void crash() throws Exception {
        send();
        Service.crashBroker();
        send();
        eventually("all records", PATIENCE, () -> mirrored().size() >= sent);
        equal(mirrored(), expected(), "records");
        that(mirror.isAlive(), "MirrorMaker runs");
    }
}
