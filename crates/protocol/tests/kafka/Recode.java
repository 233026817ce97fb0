// Reads lines of "Name version hex" and lets Apache Kafka's own classes decode and encode each
// message. Prints those whose bytes change and exits with 1 if there are any. Run with the jars that
// `cargo xtask codegen` keeps in target/codegen, and slf4j-api:
//
//   java -cp 'target/codegen/*:slf4j-api.jar' crates/protocol/tests/kafka/Recode.java messages.txt

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;

import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

public class Recode {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message",
        "org.apache.kafka.common.metadata",
        "org.apache.kafka.coordinator.group.generated",
        "org.apache.kafka.coordinator.share.generated",
        "org.apache.kafka.coordinator.transaction.generated",
        "org.apache.kafka.raft.generated",
        "org.apache.kafka.server.log.remote.metadata.storage.generated",
    };

    public static void main(String[] args) throws Exception {
        int same = 0;
        int changed = 0;
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            if (line.startsWith("#")) {
                continue;
            }
            String[] parts = line.split(" ", -1);
            byte[] bytes = HexFormat.of().parseHex(parts[2]);
            String outcome = recode(parts[0], Short.parseShort(parts[1]), bytes);
            if (outcome.equals(parts[2])) {
                same++;
            } else {
                changed++;
                System.out.println(line + "\n  became " + outcome);
            }
        }
        System.out.println(same + " unchanged, " + changed + " changed");
        System.exit(changed == 0 ? 0 : 1);
    }

    private static String recode(String name, short version, byte[] bytes) {
        try {
            ApiMessage message = (ApiMessage) find(name).getDeclaredConstructor().newInstance();
            ByteBufferAccessor input = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
            message.read(input, version);
            if (input.remaining() > 0) {
                return input.remaining() + " bytes left";
            }
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer output = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(output), cache, version);
            return HexFormat.of().formatHex(Arrays.copyOf(output.array(), output.position()));
        } catch (ReflectiveOperationException | RuntimeException e) {
            return e.toString();
        }
    }

    private static Class<?> find(String name) throws ClassNotFoundException {
        for (String pack : PACKAGES) {
            for (String suffix : new String[] {"Data", ""}) {
                try {
                    return Class.forName(pack + "." + name + suffix);
                } catch (ClassNotFoundException e) {
                    // In one of the others, then.
                }
            }
        }
        throw new ClassNotFoundException(name);
    }
}
