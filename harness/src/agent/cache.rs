//! Programs on an agent's host: found by their hash, or put into a cache through the agent's pipe.

use crate::host::machine::{self, sha256};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// So much of its hash is in a kept program's name.
const HASH_LENGTH: usize = 16;

/// The folder of kept programs, which [`super::launch`]'s shell uses too.
fn folder() -> Result<PathBuf, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    cache
        .map(|cache| cache.join("harness"))
        .ok_or_else(|| "there is no folder for programs: HOME is not set".to_owned())
}

fn place(folder: &Path, name: &str, hash: &str) -> Result<PathBuf, String> {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    match (plain(name), hash.get(..HASH_LENGTH).filter(|hash| plain(hash))) {
        (true, Some(short)) => Ok(folder.join(format!("{name}-{short}"))),
        _ => Err(format!("{name} is no name of a program")),
    }
}

/// Where the program with this hash is on this host: at `path`, in the cache, or nowhere.
///
/// # Errors
/// In words: there is no cache.
pub(super) fn find(name: &str, hash: &str, path: &Path) -> Result<Option<PathBuf>, String> {
    let kept = place(&folder()?, name, hash);
    let candidates = [Some(path.to_path_buf()), kept.ok()];
    Ok(candidates.into_iter().flatten().find(|path| sha256(path).is_some_and(|its| its == hash)))
}

/// Takes the next piece of a program, in base64; the last one makes it whole. Returns where it is.
///
/// # Errors
/// In words: the disk is full, for one, or what came is not what was sent.
pub(super) fn put(
    name: &str,
    hash: &str,
    piece: &str,
    is_first: bool,
    is_last: bool,
) -> Result<PathBuf, String> {
    put_into(&folder()?, name, hash, piece, is_first, is_last)
}

fn put_into(
    folder: &Path,
    name: &str,
    hash: &str,
    piece: &str,
    is_first: bool,
    is_last: bool,
) -> Result<PathBuf, String> {
    let path = place(folder, name, hash)?;
    // Hosts may share the folder.
    let partial = folder.join(format!("{name}.{}.{}.partial", machine::host(), std::process::id()));
    let put = || -> Result<(), String> {
        let cannot = |error: io::Error| format!("cannot write {}: {error}", partial.display());
        let bytes = BASE64_STANDARD.decode(piece).map_err(|error| error.to_string())?;
        fs::create_dir_all(folder).map_err(cannot)?;
        let mut file = match is_first {
            true => File::create(&partial),
            false => File::options().append(true).open(&partial),
        }
        .map_err(cannot)?;
        file.write_all(&bytes).map_err(cannot)?;
        if is_last {
            file.sync_all().map_err(cannot)?;
            drop(file);
            if sha256(&partial).is_none_or(|its| its != hash) {
                return Err(format!("{name} did not come as it was sent"));
            }
            fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).map_err(cannot)?;
            keep(&partial, &path, hash).map_err(cannot)?;
        }
        Ok(())
    };
    put().map(|()| path.clone()).inspect_err(|_| _ = fs::remove_file(&partial))
}

/// Gives a whole program its name. One that another agent has put there meanwhile stays, since it may be running.
fn keep(partial: &Path, path: &Path, hash: &str) -> io::Result<()> {
    let is_there = match fs::hard_link(partial, path) {
        Ok(()) => true,
        Err(error) => {
            error.kind() == io::ErrorKind::AlreadyExists && sha256(path).is_some_and(|its| its == hash)
        }
    };
    if is_there { fs::remove_file(partial) } else { fs::rename(partial, path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    fn hash(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn pieces_become_a_program_that_can_be_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = b"#!/bin/sh\necho here\n";
        let hash = hash(program);
        let (first, last) = program.split_at(5);
        let put = |piece: &[u8], is_first, is_last| {
            put_into(folder.path(), "rt-x", &hash, &BASE64_STANDARD.encode(piece), is_first, is_last)
        };
        let path = put(first, true, false).expect("room");
        assert!(!path.exists(), "it is not whole");
        assert_eq!(put(last, false, true).expect("room"), path);
        let output = std::process::Command::new(&path).output().expect("it starts");
        assert_eq!(output.stdout, b"here\n");
        // Something got lost on the way.
        let problem = put(first, true, true).expect_err("half of it");
        assert!(problem.contains("did not come as it was sent"), "{problem}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_program_that_is_there_already_stays_and_another_of_its_name_does_not() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let hash = hash(b"program");
        let put = || put_into(folder.path(), "rt-x", &hash, &BASE64_STANDARD.encode(b"program"), true, true);
        let path = put().expect("room");
        let inode = || fs::metadata(&path).expect("there").ino();
        let first = inode();
        assert_eq!((put(), inode()), (Ok(path.clone()), first));
        fs::write(&path, "half").expect("written");
        put().expect("room");
        assert_eq!(fs::read(&path).expect("there"), b"program");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let folder = Path::new("/nonexistent");
        for (name, hash) in [
            ("../x", "0123456789abcdef"),
            ("x", "01"),
            ("x", "../../../../../../x"),
            ("a/b", "0123456789abcdef"),
        ] {
            assert!(place(folder, name, hash).is_err(), "{name} {hash}");
        }
        assert!(place(folder, "rt-x", "0123456789abcdef").is_ok());
    }

    #[test]
    fn a_program_is_found_where_it_is_said_to_be_only_if_it_is_that_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rt-x");
        fs::write(&path, "one").expect("written");
        assert_eq!(find("rt-x", &hash(b"one"), &path), Ok(Some(path.clone())));
        assert_eq!(find("rt-x", &hash(b"two"), &path), Ok(None));
    }
}
