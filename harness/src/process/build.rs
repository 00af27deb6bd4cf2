//! Building servers, each alone, so that no contestant's cargo features change another's dependencies.

use super::spawn::{Lifeline, Proc, describe};
use anyhow::{Result, anyhow};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A build of everything from nothing takes a few minutes; one that takes this long hangs.
const LIMIT: Duration = Duration::from_secs(3600);

/// Builds `package` if that is needed, and says where its program is.
///
/// # Errors
/// cargo cannot be run, or the package does not build: with the compiler's last lines.
pub fn server(root: &Path, package: &str) -> Result<PathBuf> {
    // Under the guard: cargo's compilers would survive a coordinator that is killed.
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["guard", "--"]).arg(cargo_program()).current_dir(root);
    command.args(["build", "--release", "--locked", "--package", package]).arg("--color=never");
    let mut build = Proc::spawn(&mut command, Lifeline::Stdin)
        .map_err(|error| anyhow!("{error:#}: {package} cannot be built without cargo"))?;
    match build.wait(LIMIT) {
        Some(status) if status.success() => Ok(target_directory(root)?.join("release").join(package)),
        Some(status) => Err(anyhow!(
            "cargo build --package {package} failed ({}): {}",
            describe(status),
            build.last_lines()
        )),
        None => Err(anyhow!("cargo build --package {package} did not end within an hour")),
    }
}

/// Where cargo puts what it builds: CARGO_TARGET_DIR and cargo's configuration can move it.
fn target_directory(root: &Path) -> Result<PathBuf> {
    let output = Command::new(cargo_program())
        .current_dir(root)
        .args(["metadata", "--no-deps", "--format-version=1", "--locked", "--offline"])
        .stderr(Stdio::null())
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let directory = metadata["target_directory"].as_str();
    directory.map(PathBuf::from).ok_or_else(|| anyhow!("cargo metadata names no target directory"))
}

fn cargo_program() -> OsString {
    // Under `cargo run` the variable names the very cargo that was called.
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
