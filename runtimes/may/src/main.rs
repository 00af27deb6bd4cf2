//! A stackful coroutine per connection: may's network and timers under the contract's codec.

use contract::server;
use std::process::ExitCode;

fn main() -> ExitCode {
    server::run(rt_may::SPEC, |server| {
        rt_may::configure(&server);
        rt_may::serve(server)
    })
}
