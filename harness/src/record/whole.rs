//! Files that are there whole, whenever the harness is killed.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a file, replacing an earlier state of it at once or not at all.
///
/// # Errors
/// The file cannot be written; then the earlier state is still there.
pub fn replace(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .inspect_err(|_| _ = fs::remove_file(&partial))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the whole lines of a file that grows line by line: what follows the last of them was cut off.
pub fn lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_or_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("summary.csv");
        replace(&path, "one").expect("room");
        replace(&path, "two").expect("room");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        fs::create_dir(folder.path().join("other")).expect("new");
        assert!(replace(&folder.path().join("other"), "three").is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing else is left");
    }

    #[test]
    fn a_line_that_was_cut_off_is_none() {
        for (text, whole) in [("", ""), ("a", ""), ("a\n", "a\n"), ("a\nb", "a\n")] {
            assert_eq!(lines(text.as_bytes()), whole.as_bytes(), "{text}");
        }
    }
}
