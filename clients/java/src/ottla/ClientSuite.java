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
import static ottla.Cluster.take;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** The Java client against a broker: producer, consumer, admin. */
final class ClientSuite {
    private final Cluster cluster;

    private ClientSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) {
        ClientSuite suite = new ClientSuite(new Cluster(arguments[0]));
        Check checks = new Check("java");
        checks.add("create and describe a topic", suite::createAndDescribe);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                checks.add("produce and consume codec=" + codec + " acks=" + acks, () -> suite.roundTrip(codec, acks));
            }
        }
        checks.add("idempotent produce", suite::idempotent);
        checks.add("small fetches across many batches", suite::smallFetches);
        checks.add("list offsets: earliest, latest, by timestamp, max timestamp", suite::listOffsets);
        checks.add("a waiting consumer is woken by a produce", suite::longPoll);
        checks.add("a topic is created by its first producer", suite::autoCreate);
        for (String strategy : List.of("range", "cooperative-sticky")) {
            checks.add("a group of three, " + strategy + ": one leaves, one dies",
                () -> Member.groupOfThree(suite.cluster, strategy));
        }
        checks.add("static members keep their partitions over a restart",
            () -> Member.staticMembers(suite.cluster, "static"));
        checks.add("commit and resume", suite::commitAndResume);
        checks.add("describe, list and delete groups, delete offsets", suite::groups);
        checks.add("remove a member", suite::removeMember);
        checks.add("create partitions", suite::createPartitions);
        checks.add("describe and alter configs", suite::configs);
        checks.add("delete records", suite::deleteRecords);
        checks.add("describe the cluster and its log directories", suite::describeCluster);
        checks.add("topics that may not be", suite::badTopics);
        checks.add("offset out of range", suite::outOfRange);
        checks.add("a record that is too large", suite::tooLarge);
        checks.add("delete a topic", suite::deleteTopic);
        checks.run(arguments.length > 1 ? arguments[1] : "");
    }

    private static List<Long> range(long start, long end) {
        return LongStream.range(start, end).boxed().toList();
    }

    private void createAndDescribe() throws Exception {
        String topic = cluster.topic(3, Map.of("retention.ms", "123456789"));
        TopicDescription described = get(cluster.admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
        equal(described.partitions().size(), 3, "partitions");
        described.partitions().forEach(p -> {
            equal(p.replicas(), List.of(p.leader()), "replicas");
            equal(p.isr(), List.of(p.leader()), "in-sync replicas");
        });
        that(get(cluster.admin.listTopics().names()).contains(topic), "listed");
    }

    private void roundTrip(String codec, String acks) throws Exception {
        String topic = cluster.topic(1);
        List<ProducerRecord<byte[], byte[]>> records = cluster.records(topic, 0, 40, codec + acks);
        cluster.produce(records, Map.of(
            "compression.type", codec, "acks", acks, "enable.idempotence", false, "linger.ms", 20));
        List<ConsumerRecord<byte[], byte[]>> read = cluster.read(topic, 40);
        equalRecords(read, records);
        equal(offsets(read), range(0, 40), "offsets");
    }

    private void idempotent() throws Exception {
        String topic = cluster.topic(1);
        List<ProducerRecord<byte[], byte[]>> records = cluster.records(topic, 0, 500, "");
        equal(cluster.produce(records, Map.of("batch.size", 2000)), range(0, 500), "offsets");
        equalRecords(cluster.read(topic, 500), records);
    }

    private void smallFetches() throws Exception {
        String topic = cluster.topic(1);
        List<ProducerRecord<byte[], byte[]>> records = cluster.records(topic, 0, 300, "");
        cluster.produce(records, Map.of("batch.size", 1000));
        Map<String, Object> small = Map.of("max.partition.fetch.bytes", 500, "fetch.max.bytes", 500);
        equalRecords(cluster.read(topic, 0, 0, 300, small), records);
        equalRecords(cluster.read(topic, 0, 123, 177, Map.of()), records.subList(123, 300));
    }

    private void listOffsets() throws Exception {
        String topic = cluster.topic(1);
        TopicPartition place = new TopicPartition(topic, 0);
        cluster.fill(topic, 0, 20);
        cluster.produce(List.of(
            new ProducerRecord<>(topic, 0, cluster.baseMs + 5000, null, bytes("late")),
            new ProducerRecord<>(topic, 0, cluster.baseMs + 40, null, bytes("early"))), Map.of());
        equal(offset(place, OffsetSpec.earliest()), 0L, "earliest");
        equal(offset(place, OffsetSpec.latest()), 22L, "latest");
        equal(offset(place, OffsetSpec.maxTimestamp()), 20L, "max timestamp");
        equal(offset(place, OffsetSpec.forTimestamp(cluster.baseMs + 45)), 5L, "by timestamp");
        equal(offset(place, OffsetSpec.forTimestamp(cluster.baseMs + 5001)), -1L, "after the last");
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(Map.of())) {
            equal(consumer.beginningOffsets(List.of(place)), Map.of(place, 0L), "beginning");
            equal(consumer.endOffsets(List.of(place)), Map.of(place, 22L), "end");
            equal(consumer.offsetsForTimes(Map.of(place, cluster.baseMs + 191)).get(place).offset(), 20L, "for a time");
        }
    }

    private long offset(TopicPartition place, OffsetSpec spec) throws Exception {
        return get(cluster.admin.listOffsets(Map.of(place, spec)).partitionResult(place)).offset();
    }

    private void longPoll() throws Exception {
        String topic = cluster.topic(1);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(Map.of("fetch.max.wait.ms", 8000))) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.seekToBeginning(consumer.assignment());
            equal(consumer.poll(Duration.ofMillis(1500)).count(), 0, "records of an empty topic");
            long started = System.nanoTime();
            cluster.fill(topic, 0, 1);
            take(consumer, 1);
            that(System.nanoTime() - started < 4e9, "woken before the fetch's own wait ended");
        }
    }

    private void autoCreate() throws Exception {
        String topic = unique("java-auto");
        equal(cluster.produce(List.of(new ProducerRecord<>(topic, bytes("x"))), Map.of()), List.of(0L), "offset");
    }

    private void commitAndResume() throws Exception {
        String topic = cluster.topic(1);
        String group = unique("group");
        TopicPartition place = new TopicPartition(topic, 0);
        cluster.fill(topic, 0, 30);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(Map.of("group.id", group, "max.poll.records", 10))) {
            consumer.subscribe(List.of(topic));
            equal(offsets(take(consumer, 10)), range(0, 10), "first read");
            consumer.commitSync(Map.of(place, new OffsetAndMetadata(10, "ten")));
        }
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(Map.of("group.id", group))) {
            consumer.subscribe(List.of(topic));
            equal(offsets(take(consumer, 20)), range(10, 30), "read after the commit");
            equal(consumer.committed(Set.of(place)).get(place).metadata(), "ten", "committed metadata");
        }
    }

    private void groups() throws Exception {
        String topic = cluster.topic(2);
        String group = unique("group");
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        cluster.fill(topic, 0, 3);
        Map<String, Object> options = Map.of("group.id", group, "client.id", "described");
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(options)) {
            consumer.subscribe(List.of(topic));
            take(consumer, 3);
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(3), second, new OffsetAndMetadata(0)));
            var described = get(cluster.admin.describeConsumerGroups(List.of(group)).all()).get(group);
            equal(described.groupState(), GroupState.STABLE, "state");
            var member = described.members().iterator().next();
            equal(member.clientId(), "described", "client id");
            equal(member.assignment().topicPartitions(), Set.of(first, second), "assignment");
            that(get(cluster.admin.listGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)), "listed");
            fails(GroupNotEmptyException.class, () -> get(cluster.admin.deleteConsumerGroups(List.of(group)).all()));
        }
        equal(committed(group).keySet(), Set.of(first, second), "partitions with an offset");
        get(cluster.admin.deleteConsumerGroupOffsets(group, Set.of(second)).all());
        equal(committed(group).keySet(), Set.of(first), "partitions with an offset");
        get(cluster.admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(1))).all());
        equal(committed(group).get(first).offset(), 1L, "altered offset");
        get(cluster.admin.deleteConsumerGroups(List.of(group)).all());
        that(get(cluster.admin.listGroups().all()).stream().noneMatch(g -> g.groupId().equals(group)), "no longer listed");
        fails(GroupIdNotFoundException.class, () -> get(cluster.admin.deleteConsumerGroups(List.of(group)).all()));
    }

    private Map<TopicPartition, OffsetAndMetadata> committed(String group) throws Exception {
        return get(cluster.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    private void removeMember() throws Exception {
        String topic = cluster.topic(1);
        String group = unique("group");
        Map<String, Object> options = Map.of("group.id", group, "group.instance.id", "one");
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(options)) {
            consumer.subscribe(List.of(topic));
            cluster.fill(topic, 0, 1);
            take(consumer, 1);
        }
        var members = new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")));
        get(cluster.admin.removeMembersFromConsumerGroup(group, members).all());
        var described = get(cluster.admin.describeConsumerGroups(List.of(group)).all()).get(group);
        equal(described.members().size(), 0, "members");
    }

    private void createPartitions() throws Exception {
        String topic = cluster.topic(1);
        get(cluster.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all());
        eventually("four partitions", () ->
            get(cluster.admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size() == 4);
        fails(InvalidPartitionsException.class,
            () -> get(cluster.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all()));
        equal(cluster.fill(topic, 3, 2), List.of(0L, 1L), "offsets in the fourth partition");
    }

    private void configs() throws Exception {
        String topic = cluster.topic(1, Map.of("cleanup.policy", "delete"));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        equal(described(resource).get("max.message.bytes").value(), "1048588", "default");
        that(described(resource).get("max.message.bytes").isDefault(), "is the default");
        alter(resource, "max.message.bytes", "2000", AlterConfigOp.OpType.SET);
        alter(resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        eventually("altered", () -> described(resource).get("max.message.bytes").value().equals("2000"));
        equal(described(resource).get("cleanup.policy").value(), "delete,compact", "appended value");
        alter(resource, "max.message.bytes", "", AlterConfigOp.OpType.DELETE);
        eventually("the default again", () -> described(resource).get("max.message.bytes").value().equals("1048588"));
        fails(InvalidConfigurationException.class,
            () -> alter(resource, "retention.ms", "never", AlterConfigOp.OpType.SET));
        int broker = get(cluster.admin.describeCluster().nodes()).iterator().next().id();
        Config found = described(new ConfigResource(ConfigResource.Type.BROKER, "" + broker));
        that(found.get("log.retention.hours") != null, "broker configs");
    }

    private Config described(ConfigResource resource) throws Exception {
        return get(cluster.admin.describeConfigs(List.of(resource)).all()).get(resource);
    }

    private void alter(ConfigResource resource, String name, String value, AlterConfigOp.OpType type) throws Exception {
        Collection<AlterConfigOp> change = List.of(new AlterConfigOp(new ConfigEntry(name, value), type));
        get(cluster.admin.incrementalAlterConfigs(Map.of(resource, change)).all());
    }

    private void deleteRecords() throws Exception {
        String topic = cluster.topic(1);
        TopicPartition place = new TopicPartition(topic, 0);
        cluster.fill(topic, 0, 20);
        var deleted = cluster.admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(8)));
        equal(get(deleted.lowWatermarks().get(place)).lowWatermark(), 8L, "low watermark");
        equal(offset(place, OffsetSpec.earliest()), 8L, "log start");
        equal(offsets(cluster.read(topic, 0, 8, 12, Map.of())), range(8, 20), "offsets");
        fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () ->
            get(cluster.admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(999))).all()));
    }

    private void describeCluster() throws Exception {
        String topic = cluster.topic(1);
        cluster.fill(topic, 0, 10);
        var nodes = get(cluster.admin.describeCluster().nodes());
        equal(nodes.size(), 1, "nodes");
        int broker = nodes.iterator().next().id();
        var directories = get(cluster.admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker);
        long size = directories.values().stream()
            .mapToLong(d -> {
                var replica = d.replicaInfos().get(new TopicPartition(topic, 0));
                return replica == null ? 0 : replica.size();
            }).sum();
        that(size > 0, "size in the log directories");
    }

    private void badTopics() throws Exception {
        String topic = cluster.topic(1);
        fails(TopicExistsException.class, () -> create(topic, 1, 1, Map.of()));
        for (String name : List.of("bad/name", "..", "x".repeat(250))) {
            fails(InvalidTopicException.class, () -> create(name, 1, 1, Map.of()));
        }
        fails(InvalidPartitionsException.class, () -> create(unique("t"), 0, 1, Map.of()));
        fails(InvalidReplicationFactorException.class, () -> create(unique("t"), 1, 3, Map.of()));
        fails(InvalidConfigurationException.class, () -> create(unique("t"), 1, 1, Map.of("no.such.config", "1")));
        fails(UnknownTopicOrPartitionException.class,
            () -> get(cluster.admin.deleteTopics(List.of(unique("nowhere"))).all()));
        fails(UnknownTopicOrPartitionException.class,
            () -> get(cluster.admin.describeTopics(List.of(unique("nowhere"))).allTopicNames()));
    }

    private void create(String name, int partitions, int replicas, Map<String, String> configs) throws Exception {
        NewTopic topic = new NewTopic(name, partitions, (short) replicas).configs(configs);
        get(cluster.admin.createTopics(List.of(topic)).all());
    }

    private void outOfRange() throws Exception {
        String topic = cluster.topic(1);
        cluster.fill(topic, 0, 3);
        fails(OffsetOutOfRangeException.class,
            () -> cluster.read(topic, 0, 100, 1, Map.of("auto.offset.reset", "none")));
        equal(offsets(cluster.read(topic, 0, 100, 3, Map.of())), range(0, 3), "offsets after a reset");
    }

    private void tooLarge() throws Exception {
        String topic = cluster.topic(1, Map.of("max.message.bytes", "1000"));
        fails(RecordTooLargeException.class,
            () -> cluster.produce(List.of(new ProducerRecord<>(topic, 0, null, new byte[5000])), Map.of()));
        equal(cluster.fill(topic, 0, 1), List.of(0L), "offset");
    }

    private void deleteTopic() throws Exception {
        String topic = cluster.topic(2);
        cluster.fill(topic, 0, 5);
        get(cluster.admin.deleteTopics(List.of(topic)).all());
        eventually("the topic is gone", () -> !get(cluster.admin.listTopics().names()).contains(topic));
        cluster.create(topic, 1, Map.of());
        equal(cluster.fill(topic, 0, 1), List.of(0L), "it starts empty");
    }
}
