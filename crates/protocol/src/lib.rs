//! Words of the wire: ids, error codes, frames and the messages generated from Kafka's schemas.
