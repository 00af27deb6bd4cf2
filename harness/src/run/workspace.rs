//! A workspace of its own for a server with other versions of its crates: the checkout's sources, the checkout's
//! lockfile, and only what was asked for changed.

use super::cargo::cargo;
use crate::experiment::server::Package;
use crate::experiment::version::{Change, Source};
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where the workspace was made, and what its lockfile has.
pub(super) struct Workspace {
    /// Its `Cargo.toml`.
    pub(super) manifest: PathBuf,
    lock: String,
}

/// Makes the workspace for `package` in `folder`, or brings it up to date with the checkout at `root`.
///
/// # Errors
/// The package does not go with the versions: cargo's own words, in one line.
pub(super) fn make(root: &Path, package: &Package, folder: &Path) -> Result<Workspace> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    copy(&root.join("runtimes"), &folder.join("runtimes"))?;
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let changed = toml::to_string(&changed(text.parse()?, root, folder, package)?)?;
    let base = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let (lock, based_on) = (folder.join("Cargo.lock"), folder.join("Cargo.lock.base"));
    // What was resolved once stays, until what it was resolved from changes.
    let is_resolved = fs::read_to_string(&manifest).is_ok_and(|known| known == changed)
        && fs::read_to_string(&based_on).is_ok_and(|known| known == base)
        && package.changes.iter().all(|change| !matches!(change.source, Source::Path(_)));
    if !is_resolved {
        _ = fs::remove_file(&based_on);
        fs::write(&manifest, changed)?;
        fs::write(&lock, &base)?;
        for change in &package.changes {
            resolve(root, &manifest, &lock, change)?;
        }
        fs::write(&based_on, &base)?;
    }
    let lock = fs::read_to_string(&lock)?;
    Ok(Workspace { manifest, lock })
}

impl Workspace {
    /// The crates whose version differs from the checkout's, as `async-io 2.6.0 -> 2.4.0`.
    pub(super) fn differs(&self, root: &Path) -> Result<Vec<String>> {
        let base = locked(&fs::read_to_string(root.join("Cargo.lock"))?)?;
        let own = locked(&self.lock)?;
        let mut lines = Vec::new();
        for name in own.iter().map(|entry| &entry.name).collect::<BTreeSet<_>>() {
            let of = |entries: &[Locked]| -> Vec<String> {
                entries.iter().filter(|e| e.name == *name).map(Locked::words).collect()
            };
            let (before, after) = (of(&base), of(&own));
            // Of several versions the checkout may have more, for other servers.
            if after.iter().any(|version| !before.contains(version)) {
                let before = if before.is_empty() { vec!["none".to_owned()] } else { before };
                lines.push(format!("{name} {} -> {}", before.join(" and "), after.join(" and ")));
            }
        }
        Ok(lines)
    }
}

/// The checkout's workspace with one member, the versions that are asked for, and sources that are elsewhere.
fn changed(mut workspace: Table, root: &Path, folder: &Path, package: &Package) -> Result<Table> {
    let member = member(folder, &package.name)?;
    let table = workspace.get_mut("workspace").and_then(Value::as_table_mut).context("no [workspace]")?;
    table.insert("members".into(), Value::Array(vec![Value::String(member)]));
    table.remove("exclude");
    let dependencies = table.get_mut("dependencies").and_then(Value::as_table_mut);
    let dependencies = dependencies.context("no [workspace.dependencies]")?;
    let mut patches = Table::new();
    for Change { package: name, source } in &package.changes {
        // What is patched keeps its requirement, unless the checkout's is too narrow for it.
        let (version, patch) = match source {
            Source::Version(version) => (Some(format!("={version}")), None),
            Source::Path(path) => {
                let path = crate_folder(path, name)?;
                let place = Table::from_iter([("path".into(), Value::String(path.display().to_string()))]);
                (version_at(root, &path, name)?, Some(place))
            }
            Source::Git { url, at } => {
                let mut place = Table::from_iter([("git".to_owned(), Value::String(url.clone()))]);
                if let Some(at) = at {
                    let is_commit = at.len() >= 7 && at.chars().all(|c| c.is_ascii_hexdigit());
                    let key = if is_commit { "rev" } else { "branch" };
                    place.insert(key.into(), Value::String(at.clone()));
                }
                (Some("*".into()), Some(place))
            }
        };
        match (dependencies.get_mut(name), version) {
            (Some(Value::Table(dependency)), Some(version)) => {
                dependency.insert("version".into(), Value::String(version));
            }
            (Some(dependency), Some(version)) => *dependency = Value::String(version),
            _ => {}
        }
        if let Some(patch) = patch {
            patches.insert(name.clone(), Value::Table(patch));
        }
    }
    if !patches.is_empty() {
        let registry = Table::from_iter([("crates-io".to_owned(), Value::Table(patches))]);
        workspace.insert("patch".into(), Value::Table(registry));
    }
    Ok(workspace)
}

/// The folder of `package`, as a member of the workspace.
fn member(folder: &Path, package: &str) -> Result<String> {
    for entry in fs::read_dir(folder.join("runtimes"))? {
        let entry = entry?;
        let Ok(text) = fs::read_to_string(entry.path().join("Cargo.toml")) else { continue };
        if name_in(&text)? == Some(package.to_owned()) {
            return Ok(format!("runtimes/{}", entry.file_name().to_string_lossy()));
        }
    }
    Err(anyhow!("no folder of runtimes/ has the package {package}"))
}

fn name_in(manifest: &str) -> Result<Option<String>> {
    let table: Table = manifest.parse()?;
    Ok(table.get("package").and_then(|package| package.get("name")?.as_str()).map(str::to_owned))
}

/// The folder of a crate, given that or the one of a workspace around it.
fn crate_folder(path: &Path, name: &str) -> Result<PathBuf> {
    for folder in [path.to_path_buf(), path.join(name)] {
        if let Ok(text) = fs::read_to_string(folder.join("Cargo.toml"))
            && name_in(&text)?.as_deref() == Some(name)
        {
            return Ok(folder);
        }
    }
    Err(anyhow!("neither {} nor its folder {name} is the crate {name}", path.display()))
}

/// A requirement that the crate at `path` meets, whatever its version.
fn version_at(root: &Path, path: &Path, name: &str) -> Result<Option<String>> {
    let words = ["metadata", "--no-deps", "--format-version=1", "--manifest-path"];
    let output = cargo(root, words.map(Into::into).into_iter().chain([path.join("Cargo.toml").into()]))?;
    let metadata: serde_json::Value = serde_json::from_str(&output)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut versions = packages.filter(|package| package["name"] == *name).map(|package| &package["version"]);
    Ok(versions.next().and_then(|version| version.as_str()).map(|version| format!("={version}")))
}

/// Has cargo take the change into the lockfile, and nothing else that does not have to follow.
fn resolve(root: &Path, manifest: &Path, lock: &Path, change: &Change) -> Result<()> {
    let name = &change.package;
    let known = locked(&fs::read_to_string(lock)?)?;
    let versions: Vec<&Locked> = known.iter().filter(|entry| entry.name == *name).collect();
    let Some(newest) = versions.last() else {
        bail!("no server of the checkout is built with a crate {name}")
    };
    // Of several versions the one that the new one would be taken for.
    let major = |version: &str| version.split('.').find(|n| *n != "0").unwrap_or("0").to_owned();
    let is_near = |entry: &&&Locked| match &change.source {
        Source::Version(version) => major(version) == major(&entry.version),
        _ => true,
    };
    let from = versions.iter().rev().find(is_near).unwrap_or(newest);
    let mut words = vec!["update".into(), "--manifest-path".into(), manifest.as_os_str().to_owned()];
    words.extend(["--package".into(), format!("{name}@{}", from.version).into()]);
    if let Source::Version(version) = &change.source {
        words.extend(["--precise".into(), version.into()]);
    }
    cargo(root, words).map_err(|problem| anyhow!("{name} {}: {problem}", change.source.words()))?;
    let is_there = |entry: &Locked| {
        entry.name == *name
            && match &change.source {
                Source::Version(version) => entry.version == *version,
                Source::Path(_) => entry.source.is_none(),
                Source::Git { .. } => {
                    entry.source.as_deref().is_some_and(|source| source.starts_with("git+"))
                }
            }
    };
    match locked(&fs::read_to_string(lock)?)?.iter().any(is_there) {
        true => Ok(()),
        false => Err(anyhow!("the server does not use that {name}")),
    }
}

/// An entry of a lockfile.
struct Locked {
    name: String,
    version: String,
    /// Absent of a crate in a folder.
    source: Option<String>,
}

impl Locked {
    /// Its version, and where it comes from where that is not the registry.
    fn words(&self) -> String {
        match self.source.as_deref() {
            Some(source) if source.starts_with("registry+") => self.version.clone(),
            Some(source) => format!("{} ({source})", self.version),
            None => format!("{} (path)", self.version),
        }
    }
}

/// The entries of a lockfile, by name, then version.
fn locked(text: &str) -> Result<Vec<Locked>> {
    let table: Table = text.parse()?;
    let entries = table.get("package").and_then(Value::as_array).into_iter().flatten();
    Ok(entries
        .map(|entry| {
            let field = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
            let (name, version) = (field("name"), field("version"));
            Locked {
                name: name.unwrap_or_default(),
                version: version.unwrap_or_default(),
                source: field("source"),
            }
        })
        .collect())
}

/// Copies what servers are built from. A file that is the same is left alone, so that cargo does not build it again.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let (source, target) = (entry.path(), to.join(&name));
        // An outside server's environment, and other things that git does not know.
        if name.to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if fs::read(&target).ok() != Some(fs::read(&source)?) {
            fs::copy(&source, &target)?;
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "[workspace]\nmembers = ['harness', 'runtimes/*']\nexclude = ['runtimes/other']\n\
        [workspace.dependencies]\nsmol = '2.0'\ntokio = { version = '1.54', features = ['rt'] }\n\
        [profile.server]\ninherits = 'release'\n";

    /// A folder with the sources of a server `rt-x`, as a workspace has them.
    fn sources() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let server = folder.path().join("runtimes/its-folder");
        fs::create_dir_all(server.join("src")).expect("new");
        fs::create_dir_all(folder.path().join("runtimes/.venv")).expect("new");
        fs::write(server.join("Cargo.toml"), "[package]\nname = 'rt-x'\n").expect("written");
        fs::write(server.join("src/main.rs"), "fn main() {}").expect("written");
        folder
    }

    fn with(changes: &[(&str, Source)]) -> Result<Table> {
        let folder = sources();
        let changes = changes
            .iter()
            .map(|(package, source)| Change { package: (*package).to_owned(), source: source.clone() });
        let package = Package { changes: changes.collect(), ..Package::plain("rt-x") };
        changed(WORKSPACE.parse()?, folder.path(), folder.path(), &package)
    }

    #[test]
    fn one_member_is_left_and_its_versions_are_the_ones_asked_for() {
        let version = |version: &str| Source::Version(version.into());
        let table =
            with(&[("smol", version("2.0.1")), ("tokio", version("1.50.0")), ("mio", version("1.0.0"))]);
        let expected: Table = "[workspace]\nmembers = ['runtimes/its-folder']\n\
            [workspace.dependencies]\nsmol = '=2.0.1'\ntokio = { version = '=1.50.0', features = ['rt'] }\n\
            [profile.server]\ninherits = 'release'\n"
            .parse()
            .expect("TOML");
        assert_eq!(table.expect("a workspace"), expected);
    }

    #[test]
    fn a_repository_stands_for_the_registry() {
        let git = |at: &str| Source::Git { url: "https://host/smol".into(), at: Some(at.into()) };
        for (at, key) in [("0123abc", "rev"), ("main", "branch")] {
            let table = with(&[("smol", git(at))]).expect("a workspace");
            assert_eq!(table["patch"]["crates-io"]["smol"][key].as_str(), Some(at));
            assert_eq!(table["workspace"]["dependencies"]["smol"].as_str(), Some("*"));
        }
    }

    #[test]
    fn a_checkout_is_the_crate_or_has_it() {
        let folder = sources();
        let runtimes = folder.path().join("runtimes");
        let found = crate_folder(&runtimes.join("its-folder"), "rt-x").expect("there");
        assert!(found.ends_with("its-folder"));
        let problem = crate_folder(&runtimes, "smol").expect_err("another").to_string();
        assert!(problem.ends_with("is the crate smol"), "{problem}");
        assert!(member(folder.path(), "rt-y").is_err());
    }

    #[test]
    fn sources_are_copied_and_what_is_gone_is_removed() {
        let (from, to) = (sources(), tempfile::tempdir().expect("a folder"));
        let (from, to) = (from.path().join("runtimes"), to.path().join("runtimes"));
        copy(&from, &to).expect("copied");
        let main = to.join("its-folder/src/main.rs");
        let written = fs::metadata(&main).expect("there").modified().expect("known");
        assert!(!to.join(".venv").exists());
        fs::write(to.join("its-folder/src/old.rs"), "").expect("written");
        copy(&from, &to).expect("copied");
        assert!(!to.join("its-folder/src/old.rs").exists());
        assert_eq!(fs::metadata(&main).expect("there").modified().expect("known"), written);
    }

    #[test]
    fn what_differs_is_said_crate_by_crate() {
        let entry = |name: &str, version: &str, source: &str| {
            format!("[[package]]\nname = '{name}'\nversion = '{version}'\n{source}\n")
        };
        let registry = "source = 'registry+https://host'";
        let root = tempfile::tempdir().expect("a folder");
        let base =
            [entry("a", "1.0.0", registry), entry("b", "2.0.0", registry), entry("c", "1.0.0", registry)];
        fs::write(root.path().join("Cargo.lock"), base.concat()).expect("written");
        let own = [entry("a", "1.0.0", registry), entry("b", "2.0.1", ""), entry("d", "3.0.0", registry)];
        let own = Workspace { manifest: PathBuf::new(), lock: own.concat() };
        let differs = own.differs(root.path()).expect("lockfiles");
        assert_eq!(differs, ["b 2.0.0 -> 2.0.1 (path)", "d none -> 3.0.0"]);
    }
}
