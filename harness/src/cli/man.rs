//! `harness man`: the manual pages.

use super::args::command;
use crate::exit::Exit;
use anyhow::{Context as _, Result};
use clap_mangen::Man;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Writes the pages of all commands into `dir`, or prints the first page.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn run(dir: Option<&Path>) -> Result<Exit> {
    if let Some(dir) = dir {
        fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command(), dir))
            .with_context(|| format!("cannot write {}", dir.display()))?;
        return Ok(Exit::Done);
    }
    let mut text = Vec::new();
    Man::new(command()).render(&mut text)?;
    // A closed stdout is not an error.
    _ = std::io::stdout().lock().write_all(&text);
    Ok(Exit::Done)
}
