//! hyper on a thread per connection: the row `threads` with another HTTP stack.
//!
//! A folder of its own, since both stacks in one binary would share functions that each has inlined when alone.

use contract::hyper_http::blocking::Http;
use contract::{HttpStack, Spec, server};
use rt_threads::{Threads, listen};
use std::process::ExitCode;

const SPEC: Spec = Spec { http: HttpStack::Package("hyper"), flavors: &[], ..rt_threads::SPEC };

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        let http = Http::new(&server, Threads::capped(&server));
        listen(&server, http, |http, stream| http.serve(stream), Http::drain)
    })
}
