//! Configuration keys: Kafka's names, types, defaults and documentation, and the values a user gave.
