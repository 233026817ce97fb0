package ottla;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Named checks that run in order, each with a time limit.
 *
 * Prints one line per check and closes with "N passed, N failed"; exits with 0 only when nothing failed.
 */
final class Check {
    static final Duration CHECK_TIME_MAX = Duration.ofSeconds(120);

    interface Body {
        void run() throws Exception;
    }

    private record Named(String name, Duration limit, Body body) {}

    private final String suite;
    private final List<Named> checks = new ArrayList<>();

    Check(String suite) {
        this.suite = suite;
    }

    void add(String name, Body body) {
        add(name, CHECK_TIME_MAX, body);
    }

    void add(String name, Duration limit, Body body) {
        checks.add(new Named(name, limit, body));
    }

    /** Runs the checks whose name contains `only`, and exits. */
    void run(String only) {
        run(only, () -> { });
    }

    /** The same, with something to do before the exit. */
    void run(String only, Runnable last) {
        int passed = 0;
        int failed = 0;
        ExecutorService runner = Executors.newCachedThreadPool();
        for (Named check : checks) {
            if (!check.name.contains(only)) {
                continue;
            }
            long started = System.nanoTime();
            try {
                Callable<Void> body = () -> {
                    check.body.run();
                    return null;
                };
                runner.submit(body).get(check.limit.toSeconds(), TimeUnit.SECONDS);
                passed++;
                double seconds = (System.nanoTime() - started) / 1e9;
                System.out.printf("ok   %s: %s (%.1f s)%n", suite, check.name, seconds);
            } catch (TimeoutException error) {
                failed++;
                System.out.printf("FAIL %s: %s: still running after %s%n", suite, check.name, check.limit);
            } catch (ExecutionException | InterruptedException error) {
                failed++;
                report(check.name, error.getCause());
            }
        }
        last.run();
        System.out.printf("%d passed, %d failed%n", passed, failed);
        System.out.flush();
        // Clients of a check that failed keep threads.
        Runtime.getRuntime().halt(failed == 0 && passed > 0 ? 0 : 1);
    }

    private void report(String name, Throwable error) {
        Arrays.stream(error.getStackTrace())
            .filter(frame -> frame.getClassName().startsWith("ottla."))
            .limit(4)
            .forEach(frame -> System.out.println("     " + frame));
        System.out.printf("FAIL %s: %s: %s%n", suite, name, error);
    }

    static void equal(Object actual, Object expected, String what) {
        if (!Objects.deepEquals(actual, expected)) {
            throw new AssertionError(what + ": got " + actual + ", expected " + expected);
        }
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** The body must fail with this error, or with one that it causes. */
    static void fails(Class<? extends Throwable> expected, Body body) {
        try {
            body.run();
        } catch (Throwable error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                if (expected.isInstance(cause)) {
                    return;
                }
            }
            throw new AssertionError("failed with " + error + ", expected " + expected.getSimpleName(), error);
        }
        throw new AssertionError("nothing failed, expected " + expected.getSimpleName());
    }

    /** Polls until the condition holds. */
    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        eventually(what, Duration.ofSeconds(20), condition);
    }

    static void eventually(String what, Duration limit, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + limit + ": " + what);
            }
            Thread.sleep(50);
        }
    }

    static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID().toString().substring(0, 8);
    }
}
