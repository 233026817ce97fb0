package ottla;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/** A program of a framework in a process of its own, which can be killed and started again. */
final class Service implements AutoCloseable {
    /** The line that asks whoever runs this program to kill the broker and start it again on its data. */
    private static final String CRASH = "crash the broker";

    private final List<String> command;
    private Process process;

    /** What frameworks want opened to them on Java 17. */
    private static final List<String> OPENED = List.of(
        "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text", "java.time",
        "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks", "jdk.internal.ref",
        "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar");

    /** Starts `main` of our class path with the arguments; its complaints stand among the suite's own. */
    Service(String main, String... arguments) throws IOException {
        this(List.of(), System.getProperty("java.class.path"), main, arguments);
    }

    /** The same for a `main` on the class path of the suite's framework, with so much `heap`. */
    static Service ofFramework(String heap, String main, String... arguments) throws IOException {
        List<String> flags = new ArrayList<>(List.of(heap));
        OPENED.forEach(name -> flags.add("--add-opens=java.base/" + name + "=ALL-UNNAMED"));
        return new Service(flags, System.getenv("OTTLA_FRAMEWORK_CLASSPATH"), main, arguments);
    }

    private Service(List<String> flags, String classPath, String main, String... arguments) throws IOException {
        command = new ArrayList<>(List.of(
            "java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"));
        command.addAll(flags);
        command.addAll(List.of("-cp", classPath, main));
        command.addAll(List.of(arguments));
        start();
    }

    void start() throws IOException {
        process = new ProcessBuilder(command)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    }

    boolean isAlive() {
        return process.isAlive();
    }

    /** Waits until it has ended by itself, and returns its exit status. */
    int join() throws InterruptedException {
        return process.waitFor();
    }

    /** Ends it as a crash would. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    @Override
    public void close() throws InterruptedException {
        kill();
    }

    /** Has the broker killed and started again. Nobody listens where the broker was running already. */
    static void crashBroker() {
        System.out.println(CRASH);
        System.out.flush();
    }

    /** Writes a properties file. */
    static Path properties(Path directory, String name, Map<String, ?> settings) throws IOException {
        Properties properties = new Properties();
        settings.forEach((key, value) -> properties.setProperty(key, String.valueOf(value)));
        Path file = directory.resolve(name);
        try (var out = Files.newOutputStream(file)) {
            properties.store(out, null);
        }
        return file;
    }

    static void remove(Path directory) throws IOException {
        if (!Files.exists(directory)) {
            return;
        }
        try (var paths = Files.walk(directory)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        }
    }
}
