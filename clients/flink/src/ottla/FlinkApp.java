package ottla;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Counts the words of one topic and writes every new count to another, in transactions that are committed when the
 * checkpoint that covers them is complete. It begins at the last checkpoint that an earlier run completed.
 *
 * Its arguments: bootstrap address, topic in, topic out, directory of the checkpoints.
 */
final class FlinkApp {
    private static final Duration CHECKPOINT_INTERVAL = Duration.ofMillis(500);
    private static final Duration TRANSACTION_TIME_MAX = Duration.ofMinutes(10);
    private static final int PARALLELISM = 2;

    private FlinkApp() {}

    /** A word and how often it has come. */
    public static final class Count {
        public String word;
        public int count;

        static Count of(String word, int count) {
            Count made = new Count();
            made.word = word;
            made.count = count;
            return made;
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path checkpoints = Files.createDirectories(Path.of(arguments[3]));
        StreamExecutionEnvironment flink =
            StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, configuration(checkpoints));
        KafkaSource<String> source = KafkaSource.<String>builder()
            .setBootstrapServers(arguments[0])
            .setTopics(arguments[1])
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setValueOnlyDeserializer(new SimpleStringSchema())
            .setProperty("isolation.level", "read_committed")
            .build();
        KafkaSink<Count> sink = KafkaSink.<Count>builder()
            .setBootstrapServers(arguments[0])
            .setRecordSerializer(KafkaRecordSerializationSchema.<Count>builder()
                .setTopic(arguments[2])
                .setKeySerializationSchema(new Key())
                .setValueSerializationSchema(new Value())
                .build())
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(arguments[2])
            // It lists the transactions that an earlier run left open, and aborts them.
            .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
            .setProperty("transaction.timeout.ms", Long.toString(TRANSACTION_TIME_MAX.toMillis()))
            .build();
        flink.fromSource(source, WatermarkStrategy.noWatermarks(), "words")
            .keyBy(word -> word)
            .map(new Counter())
            .sinkTo(sink);
        flink.execute("ottla");
    }

    private static Configuration configuration(Path checkpoints) throws IOException {
        Configuration configuration = new Configuration();
        configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINT_INTERVAL);
        configuration.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        configuration.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, checkpoints.toUri().toString());
        configuration.set(
            CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION, ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        // While the broker is away.
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, Integer.MAX_VALUE);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, CHECKPOINT_INTERVAL);
        lastComplete(checkpoints).ifPresent(last ->
            configuration.set(StateRecoveryOptions.SAVEPOINT_PATH, last.toUri().toString()));
        return configuration;
    }

    /** The youngest checkpoint whose metadata was written to the end. */
    private static Optional<Path> lastComplete(Path checkpoints) throws IOException {
        List<Path> metadata;
        try (var files = Files.walk(checkpoints)) {
            metadata = files.filter(file -> file.endsWith("_metadata"))
                .sorted(Comparator.comparing((Path file) -> file.toFile().lastModified()).reversed())
                .toList();
        }
        return metadata.stream().filter(FlinkApp::isComplete).map(Path::getParent).findFirst();
    }

    private static boolean isComplete(Path metadata) {
        try (DataInputStream in = new DataInputStream(Files.newInputStream(metadata))) {
            Checkpoints.loadCheckpointMetadata(in, FlinkApp.class.getClassLoader(), metadata.toString());
            return true;
        } catch (IOException cut) {
            return false;
        }
    }

    private static final class Key implements SerializationSchema<Count> {
        @Override
        public byte[] serialize(Count count) {
            return count.word.getBytes(StandardCharsets.UTF_8);
        }
    }

    private static final class Value implements SerializationSchema<Count> {
        @Override
        public byte[] serialize(Count count) {
            return Integer.toString(count.count).getBytes(StandardCharsets.UTF_8);
        }
    }

    private static final class Counter extends RichMapFunction<String, Count> {
        private transient ValueState<Integer> count;

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Integer.class));
        }

        @Override
        public Count map(String word) throws IOException {
            Integer before = count.value();
            int now = before == null ? 1 : before + 1;
            count.update(now);
            return Count.of(word, now);
        }
    }
}
