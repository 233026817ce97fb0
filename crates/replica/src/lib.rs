//! One partition's role: in-sync replicas, epochs, high watermark, acknowledgements.
