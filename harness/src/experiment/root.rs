//! Where the project is: a checkout, which is a folder with `runtimes/` and `harness/experiments/`.

use crate::exit::usage;
use anyhow::Result;
use std::env;
use std::path::{Path, PathBuf};

/// What to do where the project's own servers are asked for and there is no checkout.
pub const NO_CHECKOUT: &str = "no checkout of the project is here to build its servers in: give --root DIR (a \
                               checkout), --manifest FILE (a server of your own) or --url URL (one that is running)";

/// Finds the checkout that `given` is, or without it the one around the working directory or this program.
///
/// # Errors
/// The given folder is no checkout.
pub fn of(given: Option<&Path>) -> Result<Option<PathBuf>> {
    match given {
        None => Ok(find().ok()),
        Some(folder) if is_root(folder) => Ok(Some(folder.canonicalize()?)),
        Some(folder) => Err(usage!(
            "--root {}: this is no checkout of the project: it has no runtimes/",
            folder.display()
        )),
    }
}

/// Finds the checkout around the working directory, or else around this program.
///
/// # Errors
/// There is none.
pub fn find() -> Result<PathBuf> {
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let found = starts.iter().flatten().flat_map(|start| start.ancestors()).find(|folder| is_root(folder));
    found.map(Path::to_path_buf).ok_or_else(|| usage!("{NO_CHECKOUT}"))
}

/// Returns the folder of results: the checkout's around the working directory or this program, or else one in the
/// working directory. A checkout that is named with `--root` lends its servers only.
pub fn results() -> PathBuf {
    find().unwrap_or_default().join("results")
}

fn is_root(folder: &Path) -> bool {
    folder.join("runtimes/contract/Cargo.toml").is_file() && folder.join("harness/experiments").is_dir()
}
