//! Cluster metadata: the image that a replay of metadata records yields.
