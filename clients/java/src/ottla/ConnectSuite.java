package ottla;

import static ottla.Check.equal;
import static ottla.Check.eventually;
import static ottla.Check.that;
import static ottla.Check.unique;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Kafka Connect, distributed: lines of a file go through a topic into another file, with exactly-once for the source. */
final class ConnectSuite {
    private static final Duration LIMIT = Duration.ofMinutes(3);
    /** A worker's start, and a rebalance after one is gone. */
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    private static final int LINES = 200;

    private final Cluster cluster;
    private final String group = unique("connect");
    private final HttpClient http = HttpClient.newHttpClient();
    private final List<String> written = new ArrayList<>();
    private final List<Service> workers = new ArrayList<>();
    private final List<Integer> ports = new ArrayList<>();
    private Path home;

    private ConnectSuite(Cluster cluster) {
        this.cluster = cluster;
    }

    public static void main(String[] arguments) throws Exception {
        ConnectSuite suite = new ConnectSuite(new Cluster(arguments[0]));
        suite.home = Files.createTempDirectory(suite.group);
        Check checks = new Check("Kafka Connect");
        checks.add("two workers form a group and keep their state in compacted topics", LIMIT, suite::form);
        checks.add("a source and a sink carry every line", LIMIT, suite::carry);
        checks.add("a broker that crashes loses no line and repeats none in the topic", LIMIT, suite::brokerCrash);
        checks.add("the tasks of a worker that crashes move to the other", LIMIT, suite::workerCrash);
        checks.run(arguments.length > 1 ? arguments[1] : "", suite::stop);
    }

    private void stop() {
        try {
            for (Service worker : workers) {
                worker.close();
            }
            Service.remove(home);
        } catch (IOException | InterruptedException error) {
            System.out.println("     " + error);
        }
    }

    private void startWorker() throws IOException {
        int port;
        try (ServerSocket socket = new ServerSocket(0)) {
            port = socket.getLocalPort();
        }
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", cluster.bootstrap,
            "group.id", group,
            "key.converter", "org.apache.kafka.connect.storage.StringConverter",
            "value.converter", "org.apache.kafka.connect.storage.StringConverter",
            "listeners", "http://127.0.0.1:" + port,
            "session.timeout.ms", 6000,
            "heartbeat.interval.ms", 500,
            "scheduled.rebalance.max.delay.ms", 1000,
            "exactly.once.source.support", "enabled",
            "offset.flush.interval.ms", 500));
        for (String topic : List.of("config", "offset", "status")) {
            settings.put(topic + ".storage.topic", group + "-" + topic);
            settings.put(topic + ".storage.replication.factor", 1);
        }
        Path file = Service.properties(home, "worker-" + port + ".properties", settings);
        workers.add(new Service("org.apache.kafka.connect.cli.ConnectDistributed", file.toString()));
        ports.add(port);
    }

    /** What the last worker answers, or the empty string while it does not. */
    private String ask(String method, String path, String body) throws InterruptedException {
        for (int i = 0; i < ports.size(); i++) {
            if (!workers.get(i).isAlive()) {
                continue;
            }
            HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + ports.get(i) + path))
                .header("Content-Type", "application/json")
                .method(method, HttpRequest.BodyPublishers.ofString(body))
                .timeout(Duration.ofSeconds(20))
                .build();
            try {
                HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
                if (response.statusCode() < 300) {
                    return response.body();
                }
            } catch (IOException notYet) {
                continue;
            }
        }
        return "";
    }

    private void form() throws Exception {
        startWorker();
        startWorker();
        eventually("both workers are members", PATIENCE, () -> {
            for (int i = 0; i < ports.size(); i++) {
                that(workers.get(i).isAlive(), "worker " + i + " runs");
            }
            try {
                return Cluster.get(cluster.admin.describeClassicGroups(List.of(group)).all()).get(group).members().size() == 2;
            } catch (Exception notYet) {
                return false;
            }
        });
        for (String topic : List.of("config", "offset", "status")) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, group + "-" + topic);
            var config = Cluster.get(cluster.admin.describeConfigs(List.of(resource)).all()).get(resource);
            equal(config.get("cleanup.policy").value(), "compact", "cleanup.policy of " + topic);
        }
    }

    private void connector(String name, String settings) throws Exception {
        eventually("connector " + name + " is accepted", PATIENCE,
            () -> !ask("PUT", "/connectors/" + group + name + "/config", settings).isEmpty());
        eventually("connector " + name + " runs", PATIENCE, () -> isRunning(name));
    }

    private boolean isRunning(String name) throws InterruptedException {
        String status = ask("GET", "/connectors/" + group + name + "/status", "");
        return status.split("\"RUNNING\"", -1).length == 3;
    }

    private Path in() {
        return home.resolve("in.txt");
    }

    private Path out() {
        return home.resolve("out.txt");
    }

    private void write() throws IOException {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < LINES; i++) {
            String line = "line " + written.size();
            written.add(line);
            text.append(line).append('\n');
        }
        Files.writeString(in(), text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    private void carry() throws Exception {
        write();
        connector("-source", """
            {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1",
             "file": "%s", "topic": "%s-lines", "exactly.once.support": "required"}""".formatted(in(), group));
        connector("-sink", """
            {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1",
             "file": "%s", "topics": "%s-lines"}""".formatted(out(), group));
        arrived();
    }

    /** Every line is in the topic once and in order; and in the file, where a sink may repeat. */
    private void arrived() throws Exception {
        eventually("all lines in the file", PATIENCE,
            () -> Files.exists(out()) && new LinkedHashSet<>(Files.readAllLines(out())).size() >= written.size());
        equal(new ArrayList<>(new LinkedHashSet<>(Files.readAllLines(out()))), written, "lines in the file");
        List<String> lines = new ArrayList<>();
        TopicPartition partition = new TopicPartition(group + "-lines", 0);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer(Map.of("isolation.level", "read_committed"))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            for (int idle = 0; idle < 3; ) {
                var records = consumer.poll(Duration.ofMillis(500));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    lines.add(new String(record.value(), StandardCharsets.UTF_8));
                }
                idle = records.isEmpty() ? idle + 1 : 0;
            }
        }
        equal(lines, written, "lines in the topic");
    }

    private void brokerCrash() throws Exception {
        for (int crash = 0; crash < 2; crash++) {
            write();
            Service.crashBroker();
            write();
            arrived();
        }
    }

    private void workerCrash() throws Exception {
        workers.get(0).kill();
        write();
        arrived();
        // It comes back and joins again.
        workers.get(0).start();
        eventually("both connectors run", PATIENCE, () -> isRunning("-source") && isRunning("-sink"));
        write();
        arrived();
    }
}
