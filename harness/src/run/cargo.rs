//! Calling cargo.

use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The cargo to call.
pub(super) fn program() -> OsString {
    // Under `cargo run` the variable names the very cargo that was called.
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// What a short call of cargo prints.
///
/// # Errors
/// It failed: its complaint, in one line.
pub(super) fn cargo(root: &Path, words: impl IntoIterator<Item = OsString>) -> Result<String> {
    let output = Command::new(program()).current_dir(root).args(words).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines =
        complaint.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Updating"));
    bail!("{}", lines.take(6).collect::<Vec<_>>().join(" | ").trim_start_matches("error: "))
}
