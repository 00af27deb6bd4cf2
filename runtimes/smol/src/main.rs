//! hyper on smol: one executor, run by as many threads as there are workers; or an executor for each thread.
//!
//! Not `smol::spawn`, whose global executor has a single thread unless an environment variable says else.

use contract::{HttpStack, Spec, cores, server};
use direct::Direct;
use rt_smol::shared;
use smol::Executor;
use smol_hyper::rt::FuturesIo;
use std::process::ExitCode;

mod direct;
mod local;

const SPEC: Spec = Spec {
    runtime: "smol",
    package: Some("smol"),
    http: HttpStack::Package("hyper"),
    flavors: &["shared", "local", "direct"],
    has_workers: true,
};

static EXECUTOR: Executor<'static> = Executor::new();

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        rt_smol::configure(&server);
        match server.flavor() {
            "direct" => shared::run(server, &EXECUTOR, Direct),
            "local" => cores::run(server, local::run_core),
            _ => shared::run(server, &EXECUTOR, FuturesIo::new),
        }
    })
}
