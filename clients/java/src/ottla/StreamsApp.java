package ottla;

import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * A Kafka Streams application in a process of its own, so that it can be killed: counts words by way of a
 * repartition topic and a store with its changelog, and joins two streams by way of windowed stores.
 *
 * Its arguments: bootstrap address, application id, state directory, guarantee.
 */
final class StreamsApp {
    private static final Duration JOIN_WINDOW = Duration.ofHours(24);
    private static final String STORE = "counted";

    private StreamsApp() {}

    static String lines(String id) {
        return id + "-lines";
    }

    static String counts(String id) {
        return id + "-counts";
    }

    /** The topic that the counts are restored from. */
    static String changelog(String id) {
        return id + "-" + STORE + "-changelog";
    }

    static String left(String id) {
        return id + "-left";
    }

    static String right(String id) {
        return id + "-right";
    }

    static String joined(String id) {
        return id + "-joined";
    }

    public static void main(String[] arguments) {
        Properties config = new Properties();
        config.putAll(Map.of(
            StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0],
            StreamsConfig.APPLICATION_ID_CONFIG, arguments[1],
            StreamsConfig.STATE_DIR_CONFIG, arguments[2],
            StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[3],
            StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2,
            // Every change of a count is shown, so that a lost or repeated one is seen.
            StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0,
            StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100,
            StreamsConfig.consumerPrefix("session.timeout.ms"), 6000,
            StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 500,
            StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest"));
        KafkaStreams streams = new KafkaStreams(topology(arguments[1]), config);
        streams.setUncaughtExceptionHandler(error -> StreamThreadExceptionResponse.REPLACE_THREAD);
        streams.start();
    }

    private static Topology topology(String id) {
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<String, String> strings = Consumed.with(Serdes.String(), Serdes.String());
        builder.stream(lines(id), strings)
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as(STORE)
                .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
            .toStream()
            .mapValues(count -> Long.toString(count))
            .to(counts(id), Produced.with(Serdes.String(), Serdes.String()));
        builder.stream(left(id), strings)
            .join(
                builder.stream(right(id), strings),
                (ours, theirs) -> ours + "+" + theirs,
                JoinWindows.ofTimeDifferenceWithNoGrace(JOIN_WINDOW),
                StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()))
            .to(joined(id), Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }
}
