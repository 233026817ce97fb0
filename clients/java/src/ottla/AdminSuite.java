package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.fails;
import static ottla.Check.that;
import static ottla.Check.unique;
import static ottla.Cluster.bytes;
import static ottla.Cluster.get;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/** The rest of what the Java admin client can ask of a single broker. */
final class AdminSuite {
    private static final int UNKNOWN_BROKER = 99;

    private final Cluster cluster;

    private AdminSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) {
        AdminSuite suite = new AdminSuite(new Cluster(arguments[0]));
        Check checks = new Check("java-admin");
        checks.add("client metrics: subscriptions, and clients that push", suite::telemetry);
        checks.add("describe and update features", suite::features);
        checks.add("group.version 0 switches consumer groups off", suite::groupVersion);
        checks.add("elect leaders", suite::electLeaders);
        checks.add("reassign partitions on one node", suite::reassignments);
        checks.add("describe the quorum", suite::quorum);
        checks.add("unregister a broker", suite::unregister);
        checks.add("client quotas", suite::quotas);
        checks.add("describe producers", suite::producers);
        checks.add("move replicas between log directories", suite::moveReplicas);
        checks.add("a new replica goes to the log directory that was chosen before", suite::chosenLogDir);
        checks.add("broker settings take effect without a restart", suite::brokerConfigs);
        checks.add("topic settings take effect at once", suite::topicConfigs);
        checks.add("settings that are wrong are refused", suite::wrongConfigs);
        checks.add("group settings", suite::groupConfigs);
        checks.add("log levels", suite::loggers);
        checks.run(arguments.length > 1 ? arguments[1] : "");
    }

    private int brokerId() throws Exception {
        return get(cluster.admin.describeCluster().nodes()).iterator().next().id();
    }

    private static ConfigResource resource(ConfigResource.Type type, Object name) {
        return new ConfigResource(type, name.toString());
    }

    /** Sets `key=value` pairs, and takes away what has no `=`. */
    private void alter(ConfigResource resource, String... changes) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        for (String change : changes) {
            String[] parts = change.split("=", 2);
            ops.add(parts.length == 1
                ? new AlterConfigOp(new ConfigEntry(parts[0], null), AlterConfigOp.OpType.DELETE)
                : new AlterConfigOp(new ConfigEntry(parts[0], parts[1]), AlterConfigOp.OpType.SET));
        }
        get(cluster.admin.incrementalAlterConfigs(Map.of(resource, ops)).all());
    }

    private ConfigEntry config(ConfigResource resource, String key) throws Exception {
        return get(cluster.admin.describeConfigs(List.of(resource)).all()).get(resource).get(key);
    }

    private void awaitConfig(ConfigResource resource, String key, String value) throws Exception {
        eventually(key + "=" + value, () -> value.equals(config(resource, key).value()));
    }

    private Set<String> listed(ConfigResource.Type type) throws Exception {
        return get(cluster.admin.listConfigResources(Set.of(type), new ListConfigResourcesOptions()).all()).stream()
            .map(ConfigResource::name).collect(Collectors.toSet());
    }

    private void telemetry() throws Exception {
        String name = unique("metrics");
        ConfigResource subscription = resource(ConfigResource.Type.CLIENT_METRICS, name);
        alter(subscription, "metrics=org.apache.kafka.", "interval.ms=100", "match=client_id=pushing-.*");
        eventually("listed", () -> listed(ConfigResource.Type.CLIENT_METRICS).contains(name));
        equal(config(subscription, "interval.ms").value(), "100", "interval");
        fails(InvalidConfigurationException.class, () -> alter(subscription, "match=client_id=("));
        fails(InvalidConfigurationException.class, () -> alter(subscription, "match=colour=red"));
        fails(InvalidRequestException.class, () -> alter(subscription, "interval.ms=99"));

        String topic = cluster.topic(1);
        Map<String, Object> options = Map.of("client.id", "pushing-" + name, "enable.metrics.push", true);
        try (KafkaProducer<byte[], byte[]> producer = cluster.producer(options);
             KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(options)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            for (int i = 0; i < 20; i++) {
                get(producer.send(new ProducerRecord<>(topic, bytes("value-" + i))));
                consumer.poll(Duration.ofMillis(50));
            }
            Uuid ofProducer = producer.clientInstanceId(Duration.ofSeconds(10));
            Uuid ofConsumer = consumer.clientInstanceId(Duration.ofSeconds(10));
            that(!ofProducer.equals(Uuid.ZERO_UUID) && !ofProducer.equals(ofConsumer), "ids of their own");
            equal(producer.clientInstanceId(Duration.ofSeconds(10)), ofProducer, "the id again");
        }
        alter(subscription, "metrics", "interval.ms", "match");
        eventually("not listed", () -> !listed(ConfigResource.Type.CLIENT_METRICS).contains(name));
    }

    private short level(String feature) throws Exception {
        var finalized = get(cluster.admin.describeFeatures().featureMetadata()).finalizedFeatures().get(feature);
        return finalized == null ? 0 : finalized.maxVersionLevel();
    }

    private void update(String feature, int level, FeatureUpdate.UpgradeType type, boolean dry) throws Exception {
        get(cluster.admin.updateFeatures(Map.of(feature, new FeatureUpdate((short) level, type)),
            new UpdateFeaturesOptions().validateOnly(dry)).all());
    }

    private void awaitLevel(String feature, int level) throws Exception {
        eventually(feature + " " + level, () -> level(feature) == level);
    }

    private void features() throws Exception {
        var upgrade = FeatureUpdate.UpgradeType.UPGRADE;
        var safe = FeatureUpdate.UpgradeType.SAFE_DOWNGRADE;
        var supported = get(cluster.admin.describeFeatures().featureMetadata()).supportedFeatures();
        for (String feature : List.of("metadata.version", "group.version", "transaction.version", "kraft.version",
            "eligible.leader.replicas.version")) {
            that(supported.containsKey(feature), feature + " is supported");
        }
        equal((int) level("transaction.version"), 2, "transaction.version");
        that(level("metadata.version") >= 25, "metadata.version");
        update("transaction.version", 1, safe, true);
        equal((int) level("transaction.version"), 2, "after a dry run");
        fails(InvalidUpdateVersionException.class, () -> update("transaction.version", 1, upgrade, false));
        fails(InvalidUpdateVersionException.class, () -> update("transaction.version", 77, upgrade, false));
        fails(InvalidUpdateVersionException.class, () -> update("no.such.version", 1, upgrade, false));
        fails(InvalidUpdateVersionException.class, () -> update("metadata.version", 1, safe, false));
        update("transaction.version", 1, safe, false);
        awaitLevel("transaction.version", 1);
        update("transaction.version", 2, upgrade, false);
        awaitLevel("transaction.version", 2);
        int elr = level("eligible.leader.replicas.version");
        update("eligible.leader.replicas.version", 0, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE, false);
        awaitLevel("eligible.leader.replicas.version", 0);
        update("eligible.leader.replicas.version", 1, upgrade, false);
        awaitLevel("eligible.leader.replicas.version", 1);
        if (elr == 0) {
            update("eligible.leader.replicas.version", 0, safe, false);
        }
    }

    private void groupVersion() throws Exception {
        String topic = cluster.topic(1);
        update("group.version", 0, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE, false);
        awaitLevel("group.version", 0);
        Map<String, Object> options = Map.of("group.id", unique("group"), "group.protocol", "consumer");
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(options)) {
            consumer.subscribe(List.of(topic));
            fails(UnsupportedVersionException.class, () -> {
                for (int i = 0; i < 50; i++) {
                    consumer.poll(Duration.ofMillis(100));
                }
            });
        }
        update("group.version", 1, FeatureUpdate.UpgradeType.UPGRADE, false);
        awaitLevel("group.version", 1);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(options)) {
            consumer.subscribe(List.of(topic));
            eventually("assigned", () -> {
                consumer.poll(Duration.ofMillis(100));
                return consumer.assignment().size() == 1;
            });
        }
    }

    private void electLeaders() throws Exception {
        String topic = cluster.topic(1);
        for (ElectionType type : ElectionType.values()) {
            TopicPartition here = new TopicPartition(topic, 0);
            TopicPartition nowhere = new TopicPartition(topic, 7);
            Map<TopicPartition, Optional<Throwable>> elected =
                get(cluster.admin.electLeaders(type, Set.of(here, nowhere)).partitions());
            that(elected.get(here).orElseThrow() instanceof ElectionNotNeededException, type + ": " + elected);
            that(elected.get(nowhere).orElseThrow() instanceof UnknownTopicOrPartitionException, type + ": " + elected);
        }
    }

    private void reassign(TopicPartition partition, Integer broker) throws Exception {
        var target = Optional.ofNullable(broker).map(id -> new NewPartitionReassignment(List.of(id)));
        get(cluster.admin.alterPartitionReassignments(Map.of(partition, target)).all());
    }

    private void reassignments() throws Exception {
        TopicPartition partition = new TopicPartition(cluster.topic(1), 0);
        reassign(partition, brokerId());
        fails(InvalidReplicaAssignmentException.class, () -> reassign(partition, UNKNOWN_BROKER));
        fails(NoReassignmentInProgressException.class, () -> reassign(partition, null));
        equal(get(cluster.admin.listPartitionReassignments().reassignments()), Map.of(), "reassignments");
    }

    private void quorum() throws Exception {
        var quorum = get(cluster.admin.describeMetadataQuorum().quorumInfo());
        equal(quorum.leaderId(), brokerId(), "leader");
        that(quorum.leaderEpoch() > 0, "an epoch");
        equal(quorum.voters().stream().map(voter -> voter.replicaId()).toList(), List.of(brokerId()), "voters");
        that(quorum.voters().get(0).logEndOffset() >= quorum.highWatermark(), "the end lies behind the high watermark");
    }

    private void unregister() {
        fails(BrokerIdNotRegisteredException.class, () -> get(cluster.admin.unregisterBroker(UNKNOWN_BROKER).all()));
    }

    private void alterQuota(ClientQuotaEntity entity, Double rate) throws Exception {
        var op = new ClientQuotaAlteration.Op("producer_byte_rate", rate);
        get(cluster.admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(op)))).all());
    }

    private void quotas() throws Exception {
        String user = unique("user");
        var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, user, ClientQuotaEntity.CLIENT_ID, "c"));
        var filter = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, user)));
        alterQuota(entity, 1048576.0);
        eventually("described", () -> get(cluster.admin.describeClientQuotas(filter).entities())
            .equals(Map.of(entity, Map.of("producer_byte_rate", 1048576.0))));
        alterQuota(entity, null);
        eventually("gone", () -> get(cluster.admin.describeClientQuotas(filter).entities()).isEmpty());
        fails(InvalidRequestException.class, () -> alterQuota(entity, -1.0));
    }

    private void producers() throws Exception {
        TopicPartition partition = new TopicPartition(cluster.topic(1), 0);
        try (KafkaProducer<byte[], byte[]> producer = cluster.producer(Map.of("enable.idempotence", true))) {
            for (int i = 0; i < 3; i++) {
                get(producer.send(new ProducerRecord<>(partition.topic(), bytes("value"))));
            }
            var active = get(cluster.admin.describeProducers(List.of(partition)).all()).get(partition).activeProducers();
            equal(active.size(), 1, "producers");
            equal(active.get(0).lastSequence(), 2, "last sequence");
            that(active.get(0).currentTransactionStartOffset().isEmpty(), "no transaction");
        }
    }

    /** The log directories of the broker, by path. */
    private List<String> logDirs() throws Exception {
        int broker = brokerId();
        return get(cluster.admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker).keySet().stream()
            .sorted().toList();
    }

    private String logDirOf(TopicPartition partition) throws Exception {
        var replica = new TopicPartitionReplica(partition.topic(), partition.partition(), brokerId());
        return get(cluster.admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica).getCurrentReplicaLogDir();
    }

    private void move(TopicPartition partition, String dir) throws Exception {
        var replica = new TopicPartitionReplica(partition.topic(), partition.partition(), brokerId());
        get(cluster.admin.alterReplicaLogDirs(Map.of(replica, dir)).all());
    }

    private void moveReplicas() throws Exception {
        List<String> dirs = logDirs();
        equal(dirs.size(), 2, "log directories of " + dirs);
        TopicPartition partition = new TopicPartition(cluster.topic(1, Map.of("segment.bytes", "1048576")), 0);
        var records = cluster.records(partition.topic(), 0, 3000, "moved");
        cluster.produce(records, Map.of("batch.size", 4000));
        for (int round = 0; round < 2; round++) {
            String from = logDirOf(partition);
            String to = dirs.get(1 - dirs.indexOf(from));
            move(partition, to);
            cluster.fill(partition.topic(), 0, 10);
            eventually("moved to " + to, () -> to.equals(logDirOf(partition)));
            var read = cluster.read(partition.topic(), 3010 + 10 * round);
            Cluster.equalRecords(read.subList(0, 3000), records);
        }
        // To where it is already.
        move(partition, logDirOf(partition));
        fails(LogDirNotFoundException.class, () -> move(partition, Path.of(dirs.get(0)).resolveSibling("no-such").toString()));
    }

    private void chosenLogDir() throws Exception {
        for (String dir : logDirs()) {
            TopicPartition partition = new TopicPartition(unique("chosen"), 0);
            fails(UnknownTopicOrPartitionException.class, () -> move(partition, dir));
            cluster.create(partition.topic(), 1, Map.of());
            eventually("placed in " + dir, () -> dir.equals(logDirOf(partition)));
        }
    }

    /** Sends one record of `size` bytes that the producer itself does not find too large. */
    private void send(String topic, int size, Map<String, Object> more) throws Exception {
        var options = new java.util.HashMap<String, Object>(Map.of("max.request.size", 10_000_000, "retries", 0));
        options.putAll(more);
        try (KafkaProducer<byte[], byte[]> producer = cluster.producer(options)) {
            get(producer.send(new ProducerRecord<>(topic, new byte[size])));
        }
    }

    private void brokerConfigs() throws Exception {
        String topic = cluster.topic(1);
        ConfigResource all = resource(ConfigResource.Type.BROKER, "");
        ConfigResource own = resource(ConfigResource.Type.BROKER, brokerId());
        ConfigResource ofTopic = resource(ConfigResource.Type.TOPIC, topic);
        send(topic, 5000, Map.of());
        alter(all, "message.max.bytes=3000");
        awaitConfig(ofTopic, "max.message.bytes", "3000");
        fails(RecordTooLargeException.class, () -> send(topic, 5000, Map.of()));
        // What is set for the broker alone counts for more.
        alter(own, "message.max.bytes=6000");
        awaitConfig(ofTopic, "max.message.bytes", "6000");
        send(topic, 5000, Map.of());
        alter(own, "message.max.bytes");
        awaitConfig(ofTopic, "max.message.bytes", "3000");
        fails(RecordTooLargeException.class, () -> send(topic, 5000, Map.of()));
        alter(all, "message.max.bytes");
        awaitConfig(ofTopic, "max.message.bytes", "1048588");
        send(topic, 5000, Map.of());
    }

    private void topicConfigs() throws Exception {
        String topic = cluster.topic(1);
        ConfigResource resource = resource(ConfigResource.Type.TOPIC, topic);
        send(topic, 5000, Map.of());
        alter(resource, "max.message.bytes=2000", "min.insync.replicas=2");
        awaitConfig(resource, "max.message.bytes", "2000");
        fails(RecordTooLargeException.class, () -> send(topic, 5000, Map.of()));
        // No more replicas have to be in sync than there are.
        send(topic, 10, Map.of("acks", "all"));
        alter(resource, "max.message.bytes", "min.insync.replicas");
        awaitConfig(resource, "max.message.bytes", "1048588");
        send(topic, 5000, Map.of());
        get(cluster.admin.incrementalAlterConfigs(
            Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "5000"), AlterConfigOp.OpType.SET))),
            new AlterConfigsOptions().validateOnly(true)).all());
        equal(config(resource, "retention.ms").value(), "604800000", "after a dry run");
    }

    private void refused(Class<? extends Throwable> error, ConfigResource resource, String wrong) {
        try {
            fails(error, () -> alter(resource, wrong));
        } catch (AssertionError failed) {
            throw new AssertionError(wrong + " for " + resource + ": " + failed.getMessage(), failed);
        }
    }

    private void wrongConfigs() throws Exception {
        ConfigResource topic = resource(ConfigResource.Type.TOPIC, cluster.topic(1));
        ConfigResource own = resource(ConfigResource.Type.BROKER, brokerId());
        ConfigResource all = resource(ConfigResource.Type.BROKER, "");
        for (String wrong : List.of("retention.ms=soon", "retention.ms=-2", "cleanup.policy=burn", "segment.bytes=1",
            "compression.type=brotli", "no.such.key=1", "min.insync.replicas=0", "max.message.bytes=-1")) {
            refused(InvalidConfigurationException.class, topic, wrong);
        }
        for (String wrong : List.of("log.retention.ms=soon", "node.id=7", "log.dirs=/tmp", "num.partitions=3",
            "log.cleaner.threads=0", "log.cleaner.threads=100", "num.io.threads=1000", "message.max.bytes=-1",
            "log.segment.bytes=1", "background.threads=0", "max.connections=-1")) {
            refused(InvalidRequestException.class, own, wrong);
            refused(InvalidRequestException.class, all, wrong);
        }
        fails(UnknownTopicOrPartitionException.class,
            () -> alter(resource(ConfigResource.Type.TOPIC, unique("nowhere")), "retention.ms=1"));
    }

    private void groupConfigs() throws Exception {
        String name = unique("group");
        ConfigResource group = resource(ConfigResource.Type.GROUP, name);
        equal(config(group, "consumer.session.timeout.ms").value(), "45000", "default");
        alter(group, "consumer.session.timeout.ms=50000", "consumer.heartbeat.interval.ms=6000");
        awaitConfig(group, "consumer.session.timeout.ms", "50000");
        that(listed(ConfigResource.Type.GROUP).contains(name), "listed");
        for (String wrong : List.of("consumer.session.timeout.ms=1", "consumer.heartbeat.interval.ms=1",
            "consumer.session.timeout.ms=100000000", "consumer.no.such.key=1")) {
            refused(InvalidConfigurationException.class, group, wrong);
        }
        alter(group, "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms");
        awaitConfig(group, "consumer.session.timeout.ms", "45000");
    }

    private void loggers() throws Exception {
        ConfigResource loggers = resource(ConfigResource.Type.BROKER_LOGGER, brokerId());
        String before = config(loggers, "root").value();
        alter(loggers, "root=ERROR");
        awaitConfig(loggers, "root", "ERROR");
        fails(InvalidConfigurationException.class, () -> alter(loggers, "root=LOUD"));
        alter(loggers, "root=" + before);
        awaitConfig(loggers, "root", before);
    }
}
