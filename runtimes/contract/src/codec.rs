//! The HTTP/1.1 codec of the rows without hyper, and the connection loop that drives it.
//!
//! Its answers are hyper's, byte for byte: where HTTP leaves a choice, the code does what hyper 1.12
//! does and says so. [`head`], [`body`] and [`encode`] are sans-IO; [`connection`] owns the socket.
//! The loop is made of futures. On runtimes that block, they are ready when first polled.

pub mod body;
pub mod connection;
pub mod encode;
pub mod head;
mod input;

pub use crate::blocking::{Transport, poll_once};
pub use connection::{AsyncTransport, Http};
