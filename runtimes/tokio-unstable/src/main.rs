//! tokio-multi with one of the settings that tokio has for those who build it with `--cfg tokio_unstable`.
//!
//! That flag alone changes tokio, too: the flavor without a setting tells the two apart.

use anyhow::Result;
use contract::{HttpStack, Spec, server};
use std::process::ExitCode;
use tokio::runtime::Builder;

const SPEC: Spec = Spec {
    runtime: "tokio",
    package: Some("tokio"),
    http: HttpStack::Package("hyper"),
    flavors: &["no-setting", "no-lifo", "alt-timer", "sharded-queue"],
    has_workers: true,
};

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        let mut builder = Builder::new_multi_thread();
        set(&mut builder, server.flavor())?;
        rt_tokio::run_multi(server, builder)
    })
}

#[cfg(tokio_unstable)]
fn set(builder: &mut Builder, flavor: &str) -> Result<()> {
    match flavor {
        "no-lifo" => _ = builder.disable_lifo_slot(),
        "alt-timer" => _ = builder.enable_alt_timer(),
        "sharded-queue" => _ = builder.enable_sharded_blocking_queue(),
        _ => {}
    }
    Ok(())
}

/// The workspace is checked and tested without the flag, so this must compile.
#[cfg(not(tokio_unstable))]
fn set(_: &mut Builder, flavor: &str) -> Result<()> {
    anyhow::bail!("--flavor {flavor}: this program was built without --cfg tokio_unstable")
}
