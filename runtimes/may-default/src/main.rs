//! may as `cargo add may` gives it: its workers steal from each other, and each is pinned to a core.
//!
//! A folder of its own, since that is a cargo feature. The size of the stacks stays: may's own is too small for a panic
//! with its backtrace.

use contract::server;
use std::process::ExitCode;

fn main() -> ExitCode {
    server::run(rt_may::SPEC, |server| {
        rt_may::configure(&server);
        may::config().set_worker_pin(true);
        rt_may::serve(server)
    })
}
