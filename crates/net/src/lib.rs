//! Listeners, connections, frames and limits; the client that tools use.
