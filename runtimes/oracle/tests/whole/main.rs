//! The oracle as the harness meets it: a process, and bytes on a socket.

mod answers;
mod faults;
mod process;
mod server;
