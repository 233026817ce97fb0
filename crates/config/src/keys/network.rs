//! Keys of listeners, sockets and connection limits.
//!
//! Invariant: names, types, defaults, bounds and update modes are Kafka 4.3's, save where a
//! default's documentation says otherwise. Read through [`crate::keys`].

use super::keys;
use crate::key::Check::*;
use crate::key::NON_EMPTY_LIST;

keys! { /// Keys of listeners, sockets and connection limits.
NETWORK
    "advertised.listeners": List = null, NON_EMPTY_LIST, High, ReadOnly, Supported;
        "Addresses that clients are told to connect to, if other than listeners.";
    "connection.failed.authentication.delay.ms": Int = "100", AtLeast(0), Low, ReadOnly, Planned;
        "Delay before a connection that failed to authenticate is closed.";
    "connections.max.idle.ms": Long = "600000", Any, Medium, ReadOnly, Supported;
        "Idle time after which a connection is closed.";
    "listener.security.protocol.map": String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any, Low, PerBroker, Supported;
        "Which security protocol each listener name speaks.";
    "listeners": List = "PLAINTEXT://127.0.0.1:9092", NON_EMPTY_LIST, High, PerBroker, Supported;
        "Addresses to listen on, as NAME://host:port; loopback unless set.";
    "max.connection.creation.rate": Int = "2147483647", AtLeast(0), Medium, ClusterWide, Supported;
        "Connections per second that the broker accepts.";
    "max.connections": Int = "2147483647", AtLeast(0), Medium, ClusterWide, Supported;
        "Connections that the broker holds at once.";
    "max.connections.per.ip": Int = "2147483647", AtLeast(0), Medium, ClusterWide, Supported;
        "Connections that one client address may hold.";
    "max.connections.per.ip.overrides": String = "", Any, Medium, ClusterWide, Supported;
        "Exceptions to max.connections.per.ip, as address:count pairs.";
    "num.network.threads": Int = "3", AtLeast(1), High, ClusterWide, Planned;
        "Threads that serve sockets; Ottla sizes its runtime to the machine instead.";
    "queued.max.request.bytes": Long = "-1", Any, Medium, ReadOnly, Supported;
        "Bytes of requests that may be buffered before sockets are left unread; -1 means a bound of our own.";
    "queued.max.requests": Int = "500", AtLeast(1), High, ReadOnly, Planned;
        "Requests that may wait for a handler before sockets are left unread.";
    "socket.listen.backlog.size": Int = "50", AtLeast(1), Medium, ReadOnly, Supported;
        "Pending connections that the kernel queues per listener.";
    "socket.receive.buffer.bytes": Int = "-1", Any, High, ReadOnly, Supported;
        "Receive buffer of accepted sockets; -1 leaves it to the operating system.";
    "socket.request.max.bytes": Int = "104857600", AtLeast(1), High, ReadOnly, Supported;
        "Largest request that is read from a socket.";
    "socket.send.buffer.bytes": Int = "1048576", Any, High, ReadOnly, Supported;
        "Send buffer of accepted sockets, as far as net.core.wmem_max allows; -1 leaves it to the operating system.";
}
