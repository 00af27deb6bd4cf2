//! The HTTP/1.1 codec of the rows without hyper, and the connection loop that drives it.
//!
//! Its answers are hyper's, byte for byte: where HTTP leaves a choice, the code does what hyper 1.12
//! does and says so. [`head`], [`body`] and [`encode`] are sans-IO; [`connection`] owns the socket.
//! The runtimes that use it block inside the handler's futures, so those are ready when first polled.

pub mod body;
pub mod connection;
pub mod encode;
pub mod head;
mod input;

pub use connection::{Http, Transport, poll_once};
