//! The children: starting, watching, accounting for and ending servers and clients.

pub mod attest;
pub mod client;
pub mod equal_work;
pub mod guard;
pub mod meter;
pub mod placement;
pub mod process_tree;
mod program;
pub mod server;
pub mod sockets;
pub mod spawn;
pub mod window;
