//! tokio-multi with mimalloc in place of the system's allocator, which every other server has.

use contract::{HttpStack, Spec, server};
use mimalloc::MiMalloc;
use std::process::ExitCode;
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SPEC: Spec = Spec {
    runtime: "tokio",
    package: Some("tokio"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

fn main() -> ExitCode {
    server::run(SPEC, |server| rt_tokio::run_multi(server, Builder::new_multi_thread()))
}
