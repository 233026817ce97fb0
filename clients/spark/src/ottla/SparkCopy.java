package ottla;

import java.io.IOException;
import org.apache.spark.sql.SparkSession;

/**
 * Reads a topic as a table, from a time on, and writes its rows as records of another topic.
 *
 * Its arguments: bootstrap address, topic to read, time in milliseconds, topic to write.
 */
final class SparkCopy {
    private SparkCopy() {}

    public static void main(String[] arguments) throws IOException {
        try (SparkSession spark = SparkApp.session()) {
            spark.read()
                .format("kafka")
                .option("kafka.bootstrap.servers", arguments[0])
                .option("subscribe", arguments[1])
                .option("startingTimestamp", arguments[2])
                .option("includeHeaders", true)
                .load()
                .select("key", "value", "partition", "headers")
                .write()
                .format("kafka")
                .option("kafka.bootstrap.servers", arguments[0])
                .option("topic", arguments[3])
                .option("includeHeaders", true)
                .save();
        }
    }
}
