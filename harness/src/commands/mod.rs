//! What the harness can be told to do: one file a command.

pub mod compare;
pub mod list;
pub mod report;
pub mod run;
pub mod serve;
pub mod verify;

use crate::catalog::{Origin, ServerDef};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The program of `def`, built if that is needed; `None` for an outside server.
///
/// # Errors
/// It does not build.
fn program(root: &Path, def: &ServerDef) -> Result<Option<PathBuf>> {
    match &def.origin {
        Origin::Package(package) => crate::process::build::server(root, package).map(Some),
        Origin::Command(_) => Ok(None),
    }
}
