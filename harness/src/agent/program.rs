//! The file that a process runs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The file of a program, whatever its path says later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramFile {
    device: u64,
    inode: u64,
}

impl ProgramFile {
    /// The one at `path`.
    ///
    /// # Errors
    /// In words: it is not there.
    pub fn of(path: &Path) -> Result<ProgramFile, String> {
        let data = fs::metadata(path).map_err(|error| format!("cannot find {}: {error}", path.display()))?;
        Ok(ProgramFile { device: data.dev(), inode: data.ino() })
    }

    /// The one that `pid` runs.
    pub(super) fn run_by(pid: i32) -> Option<ProgramFile> {
        ProgramFile::of(Path::new(&format!("/proc/{pid}/exe"))).ok()
    }
}
