//! The controller's decisions: a command and the image in, metadata records out.
