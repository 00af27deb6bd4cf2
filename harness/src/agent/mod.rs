//! On a host: servers and clients started, attested, metered and ended by an agent. What the coordinator has of it.

mod ask;
pub mod attest;
mod cache;
pub mod client;
mod client_process;
pub mod equal_work;
pub mod guard;
pub mod handles;
#[cfg(test)]
mod in_thread;
mod launch;
mod lease;
mod link;
pub mod messages;
mod meter;
pub mod placement;
mod process_tree;
mod program;
pub mod serve;
pub mod server;
pub mod sockets;
pub mod spawn;
mod watch;
pub mod window;

pub use ask::request_of;
#[cfg(test)]
pub(crate) use in_thread::in_thread;
