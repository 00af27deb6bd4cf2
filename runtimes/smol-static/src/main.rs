//! hyper on smol's `StaticExecutor`, run by as many threads as there are workers.
//!
//! Not a flavor of rt-smol, which is also built with versions of async-executor that have none, as before 1.12.

use async_executor::StaticExecutor;
use contract::{HttpStack, Spec, server};
use rt_smol::shared::{self, Shared};
use smol::{Task, future};
use smol_hyper::rt::FuturesIo;
use std::process::ExitCode;

const SPEC: Spec = Spec {
    runtime: "smol",
    package: Some("smol"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

/// As it is never dropped, it keeps no list of its tasks.
struct Static(StaticExecutor);

impl Shared for Static {
    fn spawn<T: Send + 'static>(&'static self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        self.0.spawn(future)
    }

    fn run(&self) -> impl Future<Output = ()> {
        self.0.run(future::pending())
    }
}

static EXECUTOR: Static = Static(StaticExecutor::new());

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        rt_smol::configure(&server);
        shared::run(server, &EXECUTOR, FuturesIo::new)
    })
}
