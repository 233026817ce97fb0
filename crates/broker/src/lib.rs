//! The broker's shell: one file per API, partitions, delayed operations, start and stop.
