//! hyper on a stackful coroutine per connection: the row `may` with another HTTP stack.
//!
//! A folder of its own, since both stacks in one binary would share functions that each has inlined when alone.

use contract::hyper_http::blocking::Http;
use contract::{HttpStack, Spec, server};
use rt_may::May;
use std::process::ExitCode;

const SPEC: Spec = Spec { http: HttpStack::Package("hyper"), ..rt_may::SPEC };

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        rt_may::configure(&server);
        let http = Http::new(&server, May);
        rt_may::listen(server, http, |http, stream| http.serve(stream), Http::drain)
    })
}
