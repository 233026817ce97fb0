package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.that;
import static ottla.Check.unique;
import static ottla.Cluster.get;
import static ottla.Cluster.offsets;
import static ottla.Cluster.take;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;

/**
 * Consumer groups with group.protocol=consumer (KIP-848) and the Java client.
 *
 * The broker must allow short sessions: see the settings of this suite in crates/xtask.
 */
final class ConsumerGroupSuite {
    private static final Duration ROLL_STEP_TIME_MAX = Duration.ofSeconds(30);

    private final Cluster cluster;

    private ConsumerGroupSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) {
        ConsumerGroupSuite suite = new ConsumerGroupSuite(new Cluster(arguments[0]));
        Check checks = new Check("java kip848");
        checks.add("a group of three: one leaves, one dies", () -> Member.groupOfThree(suite.cluster, "consumer"));
        checks.add("static members keep their partitions over a restart",
            () -> Member.staticMembers(suite.cluster, "consumer-static"));
        checks.add("commit and resume", suite::commitAndResume);
        checks.add("describe, list and delete", suite::describe);
        for (String assignor : List.of("uniform", "range")) {
            checks.add("the assignor " + assignor, () -> suite.assignor(assignor));
        }
        checks.add("a subscription by pattern finds topics that come later", suite::pattern);
        checks.add("partitions that are added are assigned", suite::addedPartitions);
        checks.add("a classic group is upgraded while it runs, and downgraded again", suite::upgrade);
        checks.add("five members are upgraded one by one, and downgraded again", suite::rollingUpgrade);
        checks.run(arguments.length > 1 ? arguments[1] : "");
    }

    private KafkaConsumer<byte[], byte[]> consumer(String group, Map<String, Object> more) {
        var options = new java.util.HashMap<String, Object>(Map.of("group.id", group, "group.protocol", "consumer"));
        options.putAll(more);
        return cluster.consumer(options);
    }

    private void commitAndResume() throws Exception {
        String topic = cluster.topic(1);
        String group = unique("group");
        TopicPartition place = new TopicPartition(topic, 0);
        cluster.fill(topic, 0, 30);
        for (long[] range : List.of(new long[] {0, 10}, new long[] {10, 30})) {
            int count = (int) (range[1] - range[0]);
            try (var consumer = consumer(group, Map.of("max.poll.records", count))) {
                consumer.subscribe(List.of(topic));
                equal(offsets(take(consumer, count)), LongStream.range(range[0], range[1]).boxed().toList(), "offsets");
                consumer.commitSync(Map.of(place, new OffsetAndMetadata(range[1])));
            }
        }
    }

    private void describe() throws Exception {
        String topic = cluster.topic(2);
        String group = unique("group");
        cluster.fill(topic, 0, 3);
        try (var consumer = consumer(group, Map.of("client.id", "described"))) {
            consumer.subscribe(List.of(topic));
            take(consumer, 3);
            consumer.commitSync();
            var described = get(cluster.admin.describeConsumerGroups(List.of(group)).all()).get(group);
            equal(described.groupState(), GroupState.STABLE, "state");
            equal(described.type(), GroupType.CONSUMER, "type");
            var member = described.members().iterator().next();
            equal(member.clientId(), "described", "client id");
            equal(member.assignment().topicPartitions().size(), 2, "assigned partitions");
            that(listed(group, GroupType.CONSUMER), "listed as a consumer group");
            that(!listed(group, GroupType.CLASSIC), "listed as a classic group");
        }
        get(cluster.admin.deleteConsumerGroups(List.of(group)).all());
        that(!listed(group, GroupType.CONSUMER), "listed after the delete");
    }

    private boolean listed(String group, GroupType type) throws Exception {
        return get(cluster.admin.listGroups(new ListGroupsOptions().withTypes(Set.of(type))).all()).stream()
            .anyMatch(listing -> listing.groupId().equals(group));
    }

    private void assignor(String name) throws Exception {
        String topic = cluster.topic(4);
        Map<String, Object> options = Map.of("group.remote.assignor", name);
        String group = unique("group");
        try (var one = consumer(group, options); var two = consumer(group, options)) {
            one.subscribe(List.of(topic));
            two.subscribe(List.of(topic));
            eventually("two partitions each", () -> {
                one.poll(Duration.ofMillis(100));
                two.poll(Duration.ofMillis(100));
                return one.assignment().size() == 2 && two.assignment().size() == 2;
            });
            equal(get(cluster.admin.describeConsumerGroups(List.of(group)).all()).get(group).partitionAssignor(), name, "assignor");
        }
    }

    private static Set<String> topicsOf(KafkaConsumer<byte[], byte[]> consumer) {
        consumer.poll(Duration.ofMillis(100));
        return consumer.assignment().stream().map(TopicPartition::topic).collect(Collectors.toSet());
    }

    private void pattern() throws Exception {
        String prefix = unique("pattern");
        cluster.create(prefix + "-one", 2, Map.of());
        try (var consumer = consumer(unique("group"), Map.of("metadata.max.age.ms", 1000))) {
            consumer.subscribe(new SubscriptionPattern(prefix + "-.*"));
            eventually("the first topic", () -> topicsOf(consumer).equals(Set.of(prefix + "-one")));
            cluster.create(prefix + "-two", 2, Map.of());
            eventually("both topics", Duration.ofSeconds(40),
                () -> topicsOf(consumer).equals(Set.of(prefix + "-one", prefix + "-two")));
        }
    }

    private void addedPartitions() throws Exception {
        String topic = cluster.topic(1);
        try (var consumer = consumer(unique("group"), Map.of())) {
            consumer.subscribe(List.of(topic));
            eventually("the first partition", () -> topicsOf(consumer).size() == 1);
            get(cluster.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
            eventually("three partitions", () -> {
                consumer.poll(Duration.ofMillis(100));
                return consumer.assignment().size() == 3;
            });
        }
    }

    private GroupType typeOf(String group) throws Exception {
        return get(cluster.admin.describeConsumerGroups(List.of(group)).all()).get(group).type();
    }

    private void upgrade() throws Exception {
        String topic = cluster.topic(4);
        String group = unique("group");
        Member classic = new Member(cluster.bootstrap, topic, group, "cooperative-sticky", "classic");
        Member modern = null;
        try {
            eventually("the classic member has every partition", () -> Member.shared(4, classic));
            equal(typeOf(group), GroupType.CLASSIC, "type");
            modern = new Member(cluster.bootstrap, topic, group, "consumer", "modern");
            Member second = modern;
            eventually("both members share the partitions", Duration.ofSeconds(30), () -> Member.shared(4, classic, second));
            equal(typeOf(group), GroupType.CONSUMER, "type of the mixed group");
            modern.leave();
            eventually("the classic member has every partition again", Duration.ofSeconds(30),
                () -> Member.shared(4, classic));
            equal(typeOf(group), GroupType.CLASSIC, "type after the last modern member has left");
            classic.leave();
        } finally {
            classic.kill();
            if (modern != null) {
                modern.kill();
            }
        }
    }

    private void rollingUpgrade() throws Exception {
        int partitions = 10;
        String topic = cluster.topic(partitions);
        String group = unique("group");
        Member[] members = new Member[5];
        try {
            for (int i = 0; i < members.length; i++) {
                members[i] = new Member(cluster.bootstrap, topic, group, "cooperative-sticky", "member-" + i);
            }
            eventually("five members share the partitions", ROLL_STEP_TIME_MAX, () -> Member.shared(partitions, members));
            equal(typeOf(group), GroupType.CLASSIC, "type");
            for (String protocol : List.of("consumer", "cooperative-sticky")) {
                for (int i = 0; i < members.length; i++) {
                    members[i].leave();
                    members[i] = new Member(cluster.bootstrap, topic, group, protocol, "member-" + i);
                    eventually("all share the partitions after member " + i + " has come back as " + protocol,
                        ROLL_STEP_TIME_MAX, () -> Member.shared(partitions, members));
                }
                equal(typeOf(group), protocol.equals("consumer") ? GroupType.CONSUMER : GroupType.CLASSIC,
                    "type after all have come back as " + protocol);
            }
        } finally {
            for (Member member : members) {
                if (member != null) {
                    member.kill();
                }
            }
        }
    }
}
