//! `harness completions`: what a shell has to know to complete the command line.

use super::args::command;
use crate::exit::Exit;
use anyhow::Result;
use clap_complete::Shell;
use std::io::Write as _;

/// Prints it.
///
/// # Errors
/// None: a closed stdout is not an error.
pub(super) fn run(shell: Shell) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "harness", &mut text);
    _ = std::io::stdout().lock().write_all(&text);
    Ok(Exit::Done)
}
