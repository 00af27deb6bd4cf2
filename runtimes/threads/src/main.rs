//! A thread per connection, on the contract's codec: what the executors are an alternative to.

use contract::codec::Http;
use contract::server;
use rt_threads::{SPEC, Threads, listen};
use std::process::ExitCode;

fn main() -> ExitCode {
    server::run(SPEC, |mut server| {
        let threads = if server.flavor() == "uncapped" {
            server.uncap();
            Threads::uncapped()
        } else {
            Threads::capped(&server)
        };
        let http = Http::new(&server, threads);
        listen(&server, http, |http, stream| http.serve(stream), Http::drain)
    })
}
