//! hyper on tokio: the work-stealing pool, the single thread, and `block_in_place`.

use contract::{HttpStack, Spec, server};
use std::process::ExitCode;
use tokio::runtime::Builder;

mod in_place;

const SPEC: Spec = Spec {
    runtime: "tokio",
    package: Some("tokio"),
    http: HttpStack::Package("hyper"),
    flavors: &["multi-thread", "current-thread", "block-in-place"],
    has_workers: true,
};

fn main() -> ExitCode {
    server::run(SPEC, |server| match server.flavor() {
        "current-thread" => rt_tokio::run(server, Builder::new_current_thread(), 1, rt_tokio::serve),
        "block-in-place" => in_place::run(server),
        _ => rt_tokio::run_multi(server, Builder::new_multi_thread()),
    })
}
