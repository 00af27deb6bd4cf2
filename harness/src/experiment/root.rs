//! Where the project is: the folder with `runtimes/` and `harness/experiments/`.

use anyhow::{Result, anyhow};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The project's root: above the working directory, else above this program, else where it was built.
///
/// # Errors
/// None of them is a clone of the project.
pub fn find() -> Result<PathBuf> {
    let from_cwd = env::current_dir().ok();
    let from_exe = env::current_exe().ok();
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    [from_cwd, from_exe, Some(built)]
        .into_iter()
        .flatten()
        .find_map(|start| start.ancestors().find(|folder| is_root(folder)).map(Path::to_path_buf))
        .ok_or_else(|| anyhow!("not inside a clone of the project: change into one and try again"))
}

fn is_root(folder: &Path) -> bool {
    fs::metadata(folder.join("runtimes/contract/Cargo.toml")).is_ok()
        && folder.join("harness/experiments").is_dir()
}
