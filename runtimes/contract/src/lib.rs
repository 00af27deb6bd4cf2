//! The contract: everything the servers have in common, and the only code that knows a route.
//!
//! A server brings an executor, an accept loop and a [`Runtime`] that says how that executor sleeps
//! and where it blocks. Everything a client can see comes from here: [`route`] parses a request,
//! [`handler`] answers it, `hyper` or `codec` (cargo features) put the answer on the wire, [`server`]
//! is the command line, the ready line and the drain.

mod action;
pub mod cores;
pub mod fib;
pub mod handler;
pub mod listen;
pub mod ready;
pub mod reply;
pub mod route;
pub mod server;
pub mod stop;

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "codec")]
pub mod codec;
#[cfg(feature = "blocking")]
pub mod connections;
#[cfg(feature = "hyper")]
pub mod hyper_http;
#[cfg(feature = "transcripts")]
pub mod transcript;

pub use handler::{Calls, Runtime};
pub use server::{HttpStack, Server, Spec};

/// Which contract a binary was built with: a hash over this crate's sources and transcripts.
///
/// The ready line carries it, and the harness refuses a server whose hash is not its own.
pub const HASH: &str = env!("CONTRACT_HASH");

/// The compiler flags that this binary was built with, beside its profile's, parted by spaces.
pub const RUSTFLAGS: &str = env!("CONTRACT_RUSTFLAGS");

/// The longest request body that is read and dropped, in bytes; a longer one is a 413.
pub const MAX_BODY: usize = 64 * 1024;

/// The most bytes a request's head may take before it is a 431 (hyper's `max_buf_size`). hyper looks after
/// a read, so up to twice as much passes if it arrives at once.
pub const MAX_HEAD: usize = 128 * 1024;

/// Every (name, version) in the lockfile that this binary was built from.
static LOCKED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/locked.rs"));

/// The version of `package` in the lockfile; of several versions the newest, `None` if it is absent.
pub fn locked_version(package: &str) -> Option<&'static str> {
    // The lockfile is sorted by name, then by version.
    LOCKED.iter().rev().find(|(name, _)| *name == package).map(|(_, version)| *version)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lockfile_knows_the_contestants() {
        assert!(super::locked_version("tokio").is_some_and(|v| v.starts_with("1.")));
        assert_eq!(super::locked_version("no-such-package"), None);
    }
}
