//! Building servers, each alone, so that no contestant's cargo features change another's dependencies.

use super::cargo::{self, cargo};
use super::workspace;
use crate::agent::spawn::{Lifeline, Proc, describe};
use crate::exit::usage;
use crate::experiment::root::NO_CHECKOUT;
use crate::experiment::server::{Origin, Package, ServerDef};
use crate::host::machine::sha256;
use anyhow::{Context as _, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A build of everything from nothing takes a few minutes; one that takes this long hangs.
const LIMIT: Duration = Duration::from_secs(3600);
/// A kept program that no run has asked for in this time is removed.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// The cargo profile of every server.
pub const PROFILE: &str = "server";
/// So much of its hash is in a kept program's name.
const HASH_LENGTH: usize = 16;

/// A built server.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its program.
    pub program: PathBuf,
    /// The crates whose version differs from the checkout's, as `async-io 2.6.0 -> 2.4.0`.
    pub differs: Vec<String>,
}

/// Builds `package` if that is needed, and says where its program is.
///
/// That is a copy under the name of its own content: cargo replaces the file it builds whenever it
/// looks at it, and a run that goes on meanwhile must neither miss its server nor get another one.
///
/// # Errors
/// cargo cannot be run, or the package does not build: with the compiler's last lines.
pub fn server(root: &Path, package: &Package) -> Result<Built> {
    server_by(&std::env::current_exe()?, root, package)
}

/// The same for a program that is not the harness: `harness` is the one that guards cargo.
///
/// # Errors
/// As of [`server`].
pub fn server_by(harness: &Path, root: &Path, package: &Package) -> Result<Built> {
    let target = target_directory(root)?;
    let kept = target.join("servers");
    fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    let file = File::create(kept.join(".lock"))?;
    // Held until the copy is made; the kernel lets go of it when this process ends.
    let _lock = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| anyhow!("cannot lock {}: {error}", kept.display()))?;
    if package.changes.is_empty() {
        build(harness, root, package, &target, None)?;
        let program = keep(&target.join(PROFILE).join(&package.name), &package.name, &kept)?;
        return Ok(Built { program, differs: Vec::new() });
    }
    // What versions have in common is built once, since they share a target directory.
    let versions = target.join("versions");
    let own = workspace::make(root, package, &versions.join(package.folder_name()))?;
    let differs = own.differs(root)?;
    let target = versions.join("target");
    build(harness, root, package, &target, Some(&own.manifest))?;
    let program = keep(&target.join(PROFILE).join(&package.name), &package.name, &kept)?;
    Ok(Built { program, differs })
}

fn build(
    harness: &Path,
    root: &Path,
    package: &Package,
    target: &Path,
    manifest: Option<&Path>,
) -> Result<()> {
    let name = &package.name;
    // Under the guard: cargo's compilers would survive a coordinator that is killed. In the checkout, whose
    // configuration has the flags of every server.
    let mut command = Command::new(harness);
    command.args(["guard", "--"]).arg(cargo::program()).current_dir(root);
    command.args(["build", "--profile", PROFILE, "--locked", "--package", name, "--color=never"]);
    command.arg("--target-dir").arg(target);
    if let Some(manifest) = manifest {
        command.arg("--manifest-path").arg(manifest);
    }
    if !package.rustflags.is_empty() {
        // Added to those of the checkout's configuration.
        command
            .arg("--config")
            .arg(format!("build.rustflags={}", serde_json::to_string(&package.rustflags)?));
    }
    let mut build = Proc::spawn(&mut command, Lifeline::Stdin, None)
        .map_err(|error| anyhow!("{error:#}: {name} cannot be built without cargo"))?;
    match build.wait(LIMIT) {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let status = describe(status);
            Err(anyhow!("cargo build --package {name} failed ({status}): {}", build.last_lines()))
        }
        None => Err(anyhow!("cargo build --package {name} did not end within an hour")),
    }
}

/// Copies `program` to where nothing replaces it, unless that very program is there already.
fn keep(program: &Path, package: &str, kept: &Path) -> Result<PathBuf> {
    let hash = sha256(program).ok_or_else(|| anyhow!("cannot read {}", program.display()))?;
    let path = kept.join(format!("{package}-{}", &hash[..HASH_LENGTH]));
    // It appears by a rename, so it is whole if it is there.
    if !path.exists() {
        let partial = kept.join(format!("{package}.partial"));
        fs::copy(program, &partial)
            .and_then(|_| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let now = SystemTime::now();
    File::open(&path)?.set_modified(now)?;
    for entry in fs::read_dir(kept)?.filter_map(Result::ok) {
        let age =
            entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| now.duration_since(at).ok());
        if is_kept(&entry.file_name(), package) && age.is_some_and(|age| age > KEPT_FOR) {
            // Another run may have been faster.
            _ = fs::remove_file(entry.path());
        }
    }
    Ok(path)
}

/// Whether a file's name is one that [`keep`] gives to a program of `package`: nothing else is removed.
fn is_kept(name: &OsStr, package: &str) -> bool {
    let hash = name.to_str().and_then(|name| name.strip_prefix(package)?.strip_prefix('-'));
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    hash.is_some_and(|hash| hash.len() == HASH_LENGTH && hash.chars().all(is_digit))
}

/// Where cargo puts what it builds: CARGO_TARGET_DIR and cargo's configuration can move it.
fn target_directory(root: &Path) -> Result<PathBuf> {
    let words = ["metadata", "--no-deps", "--format-version=1", "--locked", "--offline"];
    let metadata: serde_json::Value = serde_json::from_str(&cargo(root, words.map(Into::into))?)?;
    let directory = metadata["target_directory"].as_str();
    directory.map(PathBuf::from).ok_or_else(|| anyhow!("cargo metadata names no target directory"))
}

/// Builds `def` if that is needed; `None` for an outside server.
///
/// # Errors
/// It does not build.
pub fn program(root: Option<&Path>, def: &ServerDef) -> Result<Option<Built>> {
    match &def.origin {
        Origin::Package(package) => {
            let root = root.ok_or_else(|| usage!("{NO_CHECKOUT}"))?;
            server(root, package).map(Some)
        }
        Origin::Command(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_program_outlives_the_file_it_was_copied_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, kept) = (folder.path().join("rt-x"), folder.path().join("servers"));
        fs::create_dir(&kept).expect("new");
        fs::write(&program, "one").expect("written");
        let first = keep(&program, "rt-x", &kept).expect("kept");
        assert_eq!(keep(&program, "rt-x", &kept).expect("kept"), first);
        fs::write(&program, "two").expect("written");
        let second = keep(&program, "rt-x", &kept).expect("kept");
        fs::remove_file(&program).expect("there");
        assert_eq!(fs::read_to_string(first).expect("there"), "one");
        assert_eq!(fs::read_to_string(second).expect("there"), "two");
    }

    #[test]
    fn only_own_programs_that_nobody_asks_for_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("rt-x");
        fs::write(&program, "one").expect("written");
        let long_ago = SystemTime::now() - KEPT_FOR - Duration::from_secs(60);
        let old = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "old").expect("written");
            File::open(&path).and_then(|file| file.set_modified(long_ago)).expect("ours");
            path
        };
        let own = old("rt-x-0123456789abcdef");
        let foreign = [
            "notes.txt",
            ".lock",
            "rt-x-0123456789abcde",
            "rt-x-0123456789abcdef.bak",
            "rt-x-0123456789ABCDEF",
            "rt-x-y-0123456789abcdef",
            "rt-y-0123456789abcdef",
        ]
        .map(old);
        let kept = keep(&program, "rt-x", folder.path()).expect("kept");
        assert!(is_kept(kept.file_name().expect("a name"), "rt-x"));
        assert!(!own.exists() && kept.exists() && program.exists());
        for foreign in foreign {
            assert!(foreign.exists(), "{} is not ours to remove", foreign.display());
        }
    }
}
