//! The children: building, starting, watching, accounting for and ending servers and clients.

pub mod attest;
pub mod build;
pub mod client;
pub mod cpus;
pub mod guard;
pub mod host;
pub mod placement;
pub mod server;
pub mod sockets;
pub mod spawn;
pub mod usage;
pub mod window;
