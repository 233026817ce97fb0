package ottla;

import java.util.concurrent.TimeoutException;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.StreamingQueryException;
import org.apache.spark.sql.streaming.Trigger;

/**
 * Counts the committed values of one topic and writes every new count to another, with its progress in a checkpoint.
 *
 * Its arguments: bootstrap address, topic in, topic out, checkpoint directory.
 */
final class SparkApp {
    private SparkApp() {}

    static SparkSession session() {
        return SparkSession.builder()
            .master("local[2]")
            .appName("ottla-spark-suite")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .getOrCreate();
    }

    public static void main(String[] arguments) throws TimeoutException, StreamingQueryException {
        session()
            .readStream()
            .format("kafka")
            .option("kafka.bootstrap.servers", arguments[0])
            .option("kafka.isolation.level", "read_committed")
            .option("subscribe", arguments[1])
            .option("startingOffsets", "earliest")
            .load()
            .selectExpr("CAST(value AS STRING) AS word")
            .groupBy("word")
            .count()
            .selectExpr("word AS key", "CAST(count AS STRING) AS value")
            .writeStream()
            .outputMode("update")
            .format("kafka")
            .option("kafka.bootstrap.servers", arguments[0])
            .option("topic", arguments[2])
            .option("checkpointLocation", arguments[3])
            .trigger(Trigger.ProcessingTime("500 milliseconds"))
            .start()
            .awaitTermination();
    }
}
