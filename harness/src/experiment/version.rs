//! Other versions of a server: `smol@2.0.1` is the server `smol`, built with that version of its runtime.

use crate::exit::usage;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What stands between a server's name and each change to its build.
pub const MARK: char = '@';

/// A crate that is another one in a server's build than in the checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The crate's name.
    pub package: String,
    /// Which it is instead.
    pub source: Source,
}

/// Where a crate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The registry, in this version.
    Version(String),
    /// A checkout on this machine: the crate's folder, or one with a workspace around it.
    Path(PathBuf),
    /// A repository, at this branch, tag or commit, or as it is now.
    Git {
        /// Its address.
        url: String,
        /// A commit, a branch or a tag.
        at: Option<String>,
    },
}

impl Source {
    /// The version, or where it comes from.
    pub fn words(&self) -> String {
        match self {
            Source::Version(version) => version.clone(),
            Source::Path(path) => path.display().to_string(),
            Source::Git { url, .. } => url.clone(),
        }
    }
}

/// Splits a name as it was given into the server's own and the changes to its build: `smol@2.0.1`,
/// `smol@async-io=2.4.0`, `smol@path:../smol`, `smol@async-io=git:https://…#main`; several, one after the other.
/// `runtime` says which crate a version without a name is of, given the server.
///
/// # Errors
/// A usage error that says what is wrong with it.
pub fn parse(given: &str, runtime: impl Fn(&str) -> Result<Option<String>>) -> Result<(&str, Vec<Change>)> {
    let mut parts = given.split(MARK);
    let name = parts.next().unwrap_or_default();
    let mut changes: Vec<Change> = Vec::new();
    for part in parts {
        let (package, source) = match part.split_once('=') {
            Some((package, source)) if !package.contains(':') => (package.to_owned(), source),
            _ => match runtime(name)? {
                Some(package) => (package, part),
                None => {
                    return Err(usage!(
                        "{given}: say which crate, as in {name}@some-crate={part}: its runtime.toml names none"
                    ));
                }
            },
        };
        if package.is_empty() || changes.iter().any(|other| other.package == package) {
            return Err(usage!("{given}: name each crate once"));
        }
        let source = source_of(source).map_err(|problem| usage!("{given}: {problem}"))?;
        changes.push(Change { package, source });
    }
    Ok((name, changes))
}

fn source_of(text: &str) -> Result<Source, String> {
    if let Some(path) = text.strip_prefix("path:") {
        let path = Path::new(path);
        return match path.join("Cargo.toml").is_file() {
            true => path.canonicalize().map(Source::Path).map_err(|error| error.to_string()),
            false => Err(format!("there is no Cargo.toml in {}", path.display())),
        };
    }
    if let Some(git) = text.strip_prefix("git:") {
        let (url, at) = match git.split_once('#') {
            Some((url, at)) => (url, Some(at.to_owned())),
            None => (git, None),
        };
        return Ok(Source::Git { url: url.to_owned(), at });
    }
    match is_version(text) {
        true => Ok(Source::Version(text.to_owned())),
        false => {
            Err(format!("'{text}' is no version such as 2.0.1, and neither path:FOLDER nor git:ADDRESS"))
        }
    }
}

/// Whether it has three numbers, and perhaps what semantic versioning lets follow them.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(given: &str) -> Result<(String, Vec<Change>), String> {
        let runtime = |name: &str| Ok((name == "smol").then(|| "smol".to_owned()));
        let parsed = parse(given, runtime).map_err(|error| error.to_string())?;
        Ok((parsed.0.to_owned(), parsed.1))
    }

    fn version(package: &str, version: &str) -> Change {
        Change { package: package.into(), source: Source::Version(version.into()) }
    }

    #[test]
    fn versions_are_of_the_runtime_or_of_a_named_crate() {
        let same = |given: &str, expected: &[Change]| {
            assert_eq!(changes(given), Ok(("smol".to_owned(), expected.to_vec())), "{given}");
        };
        same("smol", &[]);
        same("smol@2.0.1", &[version("smol", "2.0.1")]);
        same(
            "smol@2.0.1@async-io=2.4.0-rc.1",
            &[version("smol", "2.0.1"), version("async-io", "2.4.0-rc.1")],
        );
        let git = Source::Git { url: "https://host/a?b=c".into(), at: Some("main".into()) };
        same("smol@git:https://host/a?b=c#main", &[Change { package: "smol".into(), source: git }]);
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = Source::Path(here.canonicalize().expect("here"));
        same(&format!("smol@x=path:{}", here.display()), &[Change { package: "x".into(), source: path }]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (given, said) in [
            ("may@0.3.50", "may@some-crate=0.3.50"),
            ("smol@2.0", "'2.0' is no version"),
            ("smol@", "is no version"),
            ("smol@path:/nowhere", "no Cargo.toml in /nowhere"),
            ("smol@2.0.1@2.0.2", "each crate once"),
            ("smol@=1.0.0", "each crate once"),
        ] {
            let problem = changes(given).expect_err(given);
            assert!(problem.contains(said), "{given}: {problem}");
        }
    }
}
