package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.that;
import static ottla.Check.unique;
import static ottla.Cluster.get;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.Utils;

/** Kafka's own command-line tools against a broker, each in a process of its own as its script starts it. */
final class ToolSuite {
    private static final String TOOLS = "org.apache.kafka.tools.";

    private final Cluster cluster;

    private ToolSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) {
        ToolSuite suite = new ToolSuite(new Cluster(arguments[0]));
        Check checks = new Check("java-tools");
        checks.add("kafka-topics", suite::topics);
        checks.add("kafka-console-producer and kafka-console-consumer", suite::console);
        checks.add("kafka-producer-perf-test and kafka-consumer-perf-test", suite::performance);
        checks.add("kafka-consumer-groups", suite::consumerGroups);
        checks.add("kafka-configs", suite::configs);
        checks.add("kafka-get-offsets", suite::getOffsets);
        checks.add("kafka-delete-records", suite::deleteRecords);
        checks.add("kafka-log-dirs", suite::logDirs);
        checks.add("kafka-dump-log", suite::dumpLog);
        checks.add("kafka-dump-log of committed offsets and of the cluster's metadata", suite::dumpInternalLogs);
        checks.add("kafka-features", suite::features);
        checks.add("kafka-client-metrics", suite::clientMetrics);
        checks.add("kafka-broker-api-versions", suite::apiVersions);
        checks.add("kafka-cluster cluster-id", suite::clusterId);
        checks.run(arguments.length > 1 ? arguments[1] : "");
    }

    private record Outcome(int status, String output) {
        String line(String start) {
            return output.lines().filter(l -> l.startsWith(start)).findFirst()
                .orElseThrow(() -> new AssertionError("no line starts with '" + start + "' in:\n" + output));
        }
    }

    /** Runs a tool to its end, its two outputs as one text. */
    private Outcome run(String input, String tool, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
            ProcessHandle.current().info().command().orElse("java"),
            "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp", System.getProperty("java.class.path"), tool));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try (var stdin = process.getOutputStream()) {
            stdin.write(input.getBytes(StandardCharsets.UTF_8));
        }
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Outcome(process.waitFor(), output);
    }

    /** Runs a tool that must succeed, with the bootstrap address and these arguments. */
    private Outcome ok(String tool, String... arguments) throws IOException, InterruptedException {
        return okWith("", tool, arguments);
    }

    private Outcome okWith(String input, String tool, String... arguments) throws IOException, InterruptedException {
        String[] all = Stream.concat(
            Stream.of("--bootstrap-server", cluster.bootstrap), Arrays.stream(arguments)).toArray(String[]::new);
        Outcome outcome = run(input, tool, all);
        equal(outcome.status, 0, tool + " " + String.join(" ", arguments) + ":\n" + outcome.output + "exit status");
        return outcome;
    }

    private void topics() throws Exception {
        String tool = TOOLS + "TopicCommand";
        String topic = unique("tools");
        ok(tool, "--create", "--topic", topic, "--partitions", "2", "--config", "retention.ms=123456789");
        String described = ok(tool, "--describe", "--topic", topic).output;
        that(described.contains("PartitionCount: 2"), described);
        that(described.contains("retention.ms=123456789"), described);
        ok(tool, "--alter", "--topic", topic, "--partitions", "3");
        eventually("three partitions", () ->
            ok(tool, "--describe", "--topic", topic).output.contains("PartitionCount: 3"));
        that(ok(tool, "--list").output.lines().anyMatch(topic::equals), "listed");
        Outcome again = run("", tool, "--bootstrap-server", cluster.bootstrap, "--create", "--topic", topic);
        that(again.status != 0 && again.output.contains("already exists"), again.output);
        ok(tool, "--delete", "--topic", topic);
        eventually("the topic is gone", () -> ok(tool, "--list").output.lines().noneMatch(topic::equals));
    }

    private void console() throws Exception {
        String topic = cluster.topic(1);
        String lines = IntStream.range(0, 50).mapToObj(i -> "key-" + i + ":value-" + i + "\n")
            .collect(Collectors.joining());
        okWith(lines, TOOLS + "ConsoleProducer", "--topic", topic, "--compression-codec", "zstd",
            "--reader-property", "parse.key=true", "--reader-property", "key.separator=:");
        String read = ok(TOOLS + "consumer.ConsoleConsumer", "--topic", topic, "--from-beginning",
            "--max-messages", "50", "--timeout-ms", "20000",
            "--formatter-property", "print.key=true", "--formatter-property", "key.separator=:").output;
        equal(read.lines().filter(l -> l.startsWith("key-")).collect(Collectors.joining("\n", "", "\n")), lines, "lines");
        String tail = ok(TOOLS + "consumer.ConsoleConsumer", "--topic", topic, "--partition", "0", "--offset", "47",
            "--max-messages", "3", "--timeout-ms", "20000").output;
        equal(tail.lines().filter(l -> l.startsWith("value-")).toList(), List.of("value-47", "value-48", "value-49"), "tail");
    }

    private void performance() throws Exception {
        String topic = cluster.topic(2);
        Outcome produced = ok(TOOLS + "ProducerPerformance", "--topic", topic, "--num-records", "20000",
            "--record-size", "1024", "--throughput", "-1", "--command-property", "acks=all");
        that(produced.output.contains("20000 records sent"), produced.output);
        Outcome consumed = ok(TOOLS + "ConsumerPerformance", "--topic", topic, "--num-records", "20000",
            "--timeout", "20000", "--hide-header");
        that(consumed.output.contains(", 20000, "), consumed.output);
    }

    private void consumerGroups() throws Exception {
        String tool = TOOLS + "consumer.group.ConsumerGroupCommand";
        String topic = cluster.topic(1);
        String group = unique("tools");
        cluster.fill(topic, 0, 20);
        ok(TOOLS + "consumer.ConsoleConsumer", "--topic", topic, "--group", group, "--from-beginning",
            "--max-messages", "20", "--timeout-ms", "20000");
        that(ok(tool, "--list").output.lines().anyMatch(group::equals), "listed");
        equal(offsets(tool, group, topic), List.of("20", "20", "0"), "offset, end and lag");
        ok(tool, "--group", group, "--topic", topic, "--reset-offsets", "--to-offset", "5", "--execute");
        equal(offsets(tool, group, topic), List.of("5", "20", "15"), "offset, end and lag");
        String state = ok(tool, "--describe", "--group", group, "--state").output;
        that(state.contains("Empty"), state);
        ok(tool, "--delete-offsets", "--group", group, "--topic", topic);
        ok(tool, "--delete", "--group", group);
        that(ok(tool, "--list").output.lines().noneMatch(group::equals), "listed after the delete");
    }

    /** The committed offset, the end of the log and the lag, as the tool shows them. */
    private List<String> offsets(String tool, String group, String topic) throws Exception {
        String row = ok(tool, "--describe", "--group", group).line(group);
        List<String> words = List.of(row.trim().split("\\s+"));
        equal(words.subList(1, 3), List.of(topic, "0"), "topic and partition");
        return words.subList(3, 6);
    }

    private void configs() throws Exception {
        String tool = "kafka.admin.ConfigCommand";
        String topic = cluster.topic(1);
        String[] entity = {"--entity-type", "topics", "--entity-name", topic};
        ok(tool, with(entity, "--alter", "--add-config", "max.message.bytes=2000,retention.ms=5000"));
        String described = ok(tool, with(entity, "--describe")).output;
        that(described.contains("max.message.bytes=2000") && described.contains("retention.ms=5000"), described);
        ok(tool, with(entity, "--alter", "--delete-config", "retention.ms"));
        String left = ok(tool, with(entity, "--describe")).output;
        that(!left.contains("retention.ms=5000"), left);
        int broker = get(cluster.admin.describeCluster().nodes()).iterator().next().id();
        String all = ok(tool, "--entity-type", "brokers", "--entity-name", "" + broker, "--describe", "--all").output;
        that(all.contains("log.retention.hours="), all);
    }

    private void features() throws Exception {
        String tool = TOOLS + "FeatureCommand";
        that(ok(tool, "downgrade", "--feature", "transaction.version=1", "--dry-run").output
            .contains("transaction.version can be downgraded to 1."), "a dry run");
        that(ok(tool, "describe").line("Feature: transaction.version").contains("FinalizedVersionLevel: 2"), "level 2");
        ok(tool, "downgrade", "--feature", "transaction.version=1");
        eventually("level 1", () ->
            ok(tool, "describe").line("Feature: transaction.version").contains("FinalizedVersionLevel: 1"));
        ok(tool, "upgrade", "--feature", "transaction.version=2");
    }

    private void clientMetrics() throws Exception {
        String tool = TOOLS + "ClientMetricsCommand";
        String name = unique("metrics");
        ok(tool, "--alter", "--name", name, "--metrics", "org.apache.kafka.", "--interval", "1000",
            "--match", "client_id=nobody");
        eventually("listed", () -> ok(tool, "--list").output.lines().anyMatch(name::equals));
        String described = ok(tool, "--describe", "--name", name).output;
        that(described.contains("interval.ms=1000") && described.contains("match=client_id=nobody"), described);
        ok(tool, "--delete", "--name", name);
        eventually("deleted", () -> ok(tool, "--list").output.lines().noneMatch(name::equals));
    }

    private static String[] with(String[] first, String... rest) {
        return Stream.concat(Arrays.stream(first), Arrays.stream(rest)).toArray(String[]::new);
    }

    private void getOffsets() throws Exception {
        String tool = TOOLS + "GetOffsetShell";
        String topic = cluster.topic(2);
        cluster.fill(topic, 0, 7);
        for (var expected : Map.of("latest", "7", "earliest", "0", "max-timestamp", "6").entrySet()) {
            String output = ok(tool, "--topic-partitions", topic + ":0", "--time", expected.getKey()).output;
            equal(output.trim(), topic + ":0:" + expected.getValue(), expected.getKey());
        }
    }

    private void deleteRecords() throws Exception {
        String topic = cluster.topic(1);
        cluster.fill(topic, 0, 20);
        Path file = Files.createTempFile("delete-records", ".json");
        try {
            Files.writeString(file, "{\"partitions\": [{\"topic\": \"" + topic
                + "\", \"partition\": 0, \"offset\": 8}], \"version\": 1}");
            String output = ok(TOOLS + "DeleteRecordsCommand", "--offset-json-file", file.toString()).output;
            that(output.contains("low_watermark: 8"), output);
        } finally {
            Files.delete(file);
        }
    }

    private void logDirs() throws Exception {
        String topic = cluster.topic(1);
        cluster.fill(topic, 0, 3);
        String output = ok(TOOLS + "LogDirsCommand", "--describe", "--topic-list", topic).output;
        that(output.contains("\"partition\":\"" + topic + "-0\""), output);
    }

    /** The tool reads files, so that this check needs a broker on this machine. */
    private void dumpLog() throws Exception {
        String topic = cluster.topic(1, Map.of("segment.bytes", "1048576", "index.interval.bytes", "1000"));
        // More than one segment, as a broker may hold back the indexes of the one that it writes to.
        for (String codec : List.of("none", "none", "none", "none", "gzip", "snappy", "lz4", "zstd")) {
            cluster.produce(cluster.records(topic, 0, 1000, codec), Map.of("compression.type", codec, "batch.size", 4000));
        }
        Path directory = directoryOf(new TopicPartition(topic, 0));
        List<Path> files;
        try (Stream<Path> all = Files.list(directory)) {
            files = all.filter(p -> p.toString().matches(".*\\.(log|index|timeindex)")).sorted().toList();
        }
        that(files.size() >= 6, "files of two segments: " + files);
        String names = files.stream().map(Path::toString).collect(Collectors.joining(","));
        Outcome dumped = run("", TOOLS + "DumpLogSegments", "--files", names, "--print-data-log");
        equal(dumped.status, 0, "exit status");
        noComplaints(dumped, directory);
        long records = dumped.output.lines().filter(l -> l.startsWith("| offset: ")).count();
        equal(records, 8000L, "records in the dump");
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            that(dumped.output.contains("compresscodec: " + codec), codec);
        }
        Outcome sane = run("", TOOLS + "DumpLogSegments", "--files",
            names.replaceAll("[^,]*\\.(log|timeindex),?", ""), "--index-sanity-check");
        that(sane.output.contains("passed sanity check"), sane.output);
    }

    private static void noComplaints(Outcome dumped, Path directory) {
        for (String complaint : List.of("Mismatches", "mismatch", "out of order", "not found in",
            "invalid bytes", "isvalid: false", "Error decoding", "Could not deserialize")) {
            that(!dumped.output.contains(complaint), "'" + complaint + "' in the dump of " + directory);
        }
        // A segment that does not begin at zero is reported as following -1; any other gap is a gap.
        List<String> gaps = dumped.output.lines().filter(l -> l.matches(" +[0-9]+ is followed by [0-9]+")).toList();
        equal(gaps, List.of(), "gaps between offsets in " + directory);
    }

    private void dumpInternalLogs() throws Exception {
        String topic = cluster.topic(1);
        String group = unique("dumped");
        var offset = Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(42));
        get(cluster.admin.alterConsumerGroupOffsets(group, offset).all());
        int partitions = get(cluster.admin.describeTopics(List.of("__consumer_offsets")).allTopicNames())
            .get("__consumer_offsets").partitions().size();
        int partition = Utils.abs(group.hashCode()) % partitions;
        Path offsets = directoryOf(new TopicPartition("__consumer_offsets", partition));
        String dump = dumpFirstSegment(offsets, "--offsets-decoder");
        that(dump.contains(group) && dump.contains("\"offset\":42"), "the committed offset is not in the dump");
        Path metadata = offsets.resolveSibling("__cluster_metadata-0");
        String records = dumpFirstSegment(metadata, "--cluster-metadata-decoder");
        that(records.contains("\"type\":\"TOPIC_RECORD\"") && records.contains(topic), "no record of the topic");
    }

    private String dumpFirstSegment(Path directory, String decoder) throws Exception {
        Path log = directory.resolve("00000000000000000000.log");
        Outcome dumped = run("", TOOLS + "DumpLogSegments", "--files", log.toString(), decoder);
        equal(dumped.status, 0, "exit status");
        noComplaints(dumped, directory);
        return dumped.output;
    }

    private Path directoryOf(TopicPartition place) throws Exception {
        int broker = get(cluster.admin.describeCluster().nodes()).iterator().next().id();
        return get(cluster.admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker).entrySet().stream()
            .filter(d -> d.getValue().replicaInfos().containsKey(place))
            .map(d -> Path.of(d.getKey(), place.toString()))
            .findFirst().orElseThrow();
    }

    private void apiVersions() throws Exception {
        String output = ok(TOOLS + "BrokerApiVersionsCommand").output;
        that(output.contains("Produce(0): ") && output.contains("Fetch(1): "), output);
    }

    private void clusterId() throws Exception {
        String id = get(cluster.admin.describeCluster().clusterId());
        Outcome outcome = run("", TOOLS + "ClusterTool", "cluster-id", "--bootstrap-server", cluster.bootstrap);
        that(outcome.output.contains(id), outcome.output);
    }
}
