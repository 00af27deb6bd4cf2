//! Versions that a command line leaves open: `@1.50` is the newest 1.50, `@1.40..` the newest of every minor release
//! from there on, `@0.3.40..` every release from there on. The registry's index says which there are.

use super::cargo::cargo;
use crate::exit::usage;
use crate::experiment::catalog::Catalog;
use crate::experiment::version::MARK;
use anyhow::{Context as _, Result};
use crates_index::{HashKind, SparseIndex, sparse};
use semver::Version;
use std::path::{Path, PathBuf};

/// A minor release: `1.40`.
type Minor = (u64, u64);

/// What is left open.
#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    /// The newest patch of a minor release.
    Newest(Minor),
    /// The newest patch of each from it on.
    NewestFrom(Minor),
    /// Every release from this one on.
    EveryFrom(Version),
}

/// Names as [`Catalog::choose`] takes them, every version written out. `manifests` are the user's own.
///
/// # Errors
/// There is no such release, or the index cannot be asked.
pub fn written_out(root: Option<&Path>, manifests: &[PathBuf], names: &[String]) -> Result<Vec<String>> {
    if !names.iter().any(|name| open_part(name).is_some()) {
        return Ok(names.to_vec());
    }
    let catalog = Catalog::read(root, manifests)?;
    let mut out = Vec::new();
    for name in names {
        match (root, open_part(name)) {
            (Some(root), Some(open)) => {
                let package = match open.package {
                    Some(package) => package.to_owned(),
                    None => catalog.runtime(open.server)?.ok_or_else(|| {
                        usage!("{name}: say which crate, as in {}{MARK}some-crate=1.2..", open.server)
                    })?,
                };
                let found = open.wanted.of(versions(root, &package)?);
                if found.is_empty() {
                    return Err(usage!("{name}: there is no such release of {package}"));
                }
                out.extend(found.iter().map(|version| format!("{}{version}{}", open.before, open.after)));
            }
            _ => out.push(name.clone()),
        }
    }
    Ok(out)
}

/// The first part of a name that leaves something open.
struct Open<'a> {
    server: &'a str,
    package: Option<&'a str>,
    wanted: Wanted,
    /// What stands before the version, and after it.
    before: &'a str,
    after: &'a str,
}

fn open_part(name: &str) -> Option<Open<'_>> {
    let server = name.split(MARK).next()?;
    let mut end = server.len();
    for part in name.split(MARK).skip(1) {
        let start = end + MARK.len_utf8();
        end = start + part.len();
        let (package, version) = part.split_once('=').map_or((None, part), |(package, v)| (Some(package), v));
        if let Some(wanted) = Wanted::parse(version) {
            let before = &name[..end - version.len()];
            return Some(Open { server, package, wanted, before, after: &name[end..] });
        }
    }
    None
}

impl Wanted {
    fn parse(text: &str) -> Option<Wanted> {
        let minor = |text: &str| -> Option<Minor> {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        match text.strip_suffix("..") {
            None => minor(text).map(Wanted::Newest),
            Some(from) => match minor(from) {
                Some(minor) => Some(Wanted::NewestFrom(minor)),
                None => from.parse().ok().map(Wanted::EveryFrom),
            },
        }
    }

    /// Those of a crate's releases that are meant, in order. Previews are not.
    fn of(&self, mut releases: Vec<Version>) -> Vec<Version> {
        let minor = |version: &Version| (version.major, version.minor);
        releases.retain(|version| {
            version.pre.is_empty()
                && match self {
                    Wanted::Newest(wanted) => minor(version) == *wanted,
                    Wanted::NewestFrom(from) => minor(version) >= *from,
                    Wanted::EveryFrom(from) => version >= from,
                }
        });
        // The newest first, so that it is the one of its minor release that stays.
        releases.sort_by(|a, b| b.cmp(a));
        if !matches!(self, Wanted::EveryFrom(_)) {
            releases.dedup_by_key(|version| minor(version));
        }
        releases.reverse();
        releases
    }
}

/// All versions of a crate that were not withdrawn. cargo asks the registry, and we read what it was told.
fn versions(root: &Path, package: &str) -> Result<Vec<Version>> {
    let words = ["update", "--dry-run", "--package", package];
    cargo(root, words.map(Into::into))
        .with_context(|| format!("cargo cannot look for releases of {package}"))?;
    // The folder has had this name since cargo 1.85, which is older than the compiler we ask for.
    let index = SparseIndex::from_url_with_hash_kind(sparse::URL, &HashKind::Stable)?;
    let known = index.crate_from_cache(package);
    let known = known.with_context(|| format!("cargo keeps no list of the releases of {package}"))?;
    let versions = known.versions().iter().filter(|version| !version.is_yanked());
    Ok(versions.filter_map(|version| version.version().parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_the_newest_patches_or_all_from_there_on() {
        let known = ["1.39.0", "1.40.0", "1.40.2", "1.40.1", "1.41.0-rc.1", "1.42.10", "1.42.9", "2.0.0"];
        let versions: Vec<Version> = known.map(|v| v.parse().expect("a version")).to_vec();
        let of = |text: &str| {
            let found = Wanted::parse(text).expect("open").of(versions.clone());
            found.iter().map(Version::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("1.40.."), "1.40.2 1.42.10 2.0.0");
        assert_eq!(of("1.40"), "1.40.2");
        assert_eq!(of("1.41"), "");
        assert_eq!(of("1.40.1.."), "1.40.1 1.40.2 1.42.9 1.42.10 2.0.0");
    }

    #[test]
    fn what_is_left_open_is_found_in_a_name() {
        let parts =
            |name: &'static str| open_part(name).map(|o| (o.server, o.package, o.wanted, o.before, o.after));
        let (range, newest) = (Wanted::NewestFrom((1, 40)), Wanted::Newest((2, 4)));
        assert_eq!(parts("tokio-multi@1.40.."), Some(("tokio-multi", None, range, "tokio-multi@", "")));
        assert_eq!(
            parts("smol@2.0.1@async-io=2.4@x=1.0.0"),
            Some(("smol", Some("async-io"), newest, "smol@2.0.1@async-io=", "@x=1.0.0"))
        );
        for closed in ["smol", "smol@2.0.1", "smol@path:../a.b", "tokio*"] {
            assert!(open_part(closed).is_none(), "{closed}");
        }
    }
}
