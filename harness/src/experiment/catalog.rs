//! The servers there are: reads `runtimes/*/runtime.toml`, and a user's own manifests.

use crate::exit::usage;
use crate::experiment::manifest;
use crate::experiment::root::NO_CHECKOUT;
use crate::experiment::server::{EVERYBODY, Origin, ServerDef};
use crate::experiment::suggest;
use crate::experiment::version;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

/// What a command line means.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// The servers, each once, in the order in which they were named.
    pub servers: Vec<ServerDef>,
    /// Servers without which it has to do, and why: a sentence each.
    pub left_out: Vec<String>,
}

impl Chosen {
    fn len(&self) -> usize {
        self.servers.len() + self.left_out.len()
    }

    fn add(&mut self, server: &ServerDef) {
        match server.missing() {
            Some(missing) => self.left_out.push(format!("{} is left out: {missing}", server.name)),
            None if self.servers.iter().any(|known| known.name == server.name) => {}
            None => self.servers.push(server.clone()),
        }
    }
}

/// All servers, in the order of their folders' names.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The servers.
    pub servers: Vec<ServerDef>,
    /// Without one the project's own servers are not among them.
    has_checkout: bool,
}

impl Catalog {
    /// Reads every `runtimes/*/runtime.toml` below `root`, if there is a checkout, and then the manifests `own`.
    ///
    /// # Errors
    /// A manifest that cannot be read or is wrong, or a name given twice.
    pub fn read(root: Option<&Path>, own: &[PathBuf]) -> Result<Catalog> {
        let mut manifests = root.map(manifests_below).transpose()?.unwrap_or_default();
        manifests.extend_from_slice(own);
        let mut servers: Vec<ServerDef> = Vec::new();
        for path in manifests {
            for server in manifest::read(&path)? {
                if let Some(other) = servers.iter().find(|s| s.name == server.name) {
                    return Err(usage!(
                        "{}: there is a server '{}' already, in {}",
                        path.display(),
                        server.name,
                        other.manifest.display()
                    ));
                }
                servers.push(server);
            }
        }
        Ok(Catalog { servers, has_checkout: root.is_some() })
    }

    /// The servers that a command line means: each name is a server's, a pattern such as `tokio*`, or `all`. Where it
    /// gives none, all but those that run only where they are named. Only servers that `fits` are meant without
    /// their name.
    ///
    /// # Errors
    /// A name or a pattern that is nobody's, with the nearest names; a server that is named and not set up; there is
    /// no server at all, since there is no checkout.
    pub fn choose<'a>(
        &self,
        names: impl IntoIterator<Item = &'a String>,
        fits: impl Fn(&ServerDef) -> bool,
    ) -> Result<Chosen> {
        let mut chosen = Chosen::default();
        let mut is_named = false;
        for name in names {
            is_named = true;
            let pattern = WildMatch::new(if name == EVERYBODY { "*" } else { name });
            if !pattern.pattern().contains('*') {
                let server = &self.find(name)?;
                if let Some(missing) = server.missing() {
                    return Err(usage!("{name} is {missing}"));
                }
                chosen.add(server);
                continue;
            }
            let before = chosen.len();
            self.servers.iter().filter(|s| fits(s) && pattern.matches(&s.name)).for_each(|s| chosen.add(s));
            if chosen.len() == before {
                self.find(name)?;
            }
        }
        if !is_named {
            if self.servers.is_empty() {
                return Err(usage!("{NO_CHECKOUT}"));
            }
            self.servers.iter().filter(|s| fits(s) && !s.only_named).for_each(|s| chosen.add(s));
        }
        Ok(chosen)
    }

    /// Refuses names, in an experiment, of servers that are not there. Without a checkout they cannot be told from
    /// wrong ones.
    ///
    /// # Errors
    /// A usage error with the nearest names.
    pub fn check_names<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
        if self.has_checkout {
            names.into_iter().try_for_each(|name| self.find(name).map(drop))
        } else {
            Ok(())
        }
    }

    /// The server of this name, with the changes to its build that the name says.
    ///
    /// # Errors
    /// A usage error with the nearest names, or about the changes.
    pub fn find(&self, given: &str) -> Result<ServerDef> {
        let (name, its) = version::parse(given, |name| self.runtime(name))?;
        let mut server = self.known(name)?.clone();
        if its.is_empty() {
            return Ok(server);
        }
        given.clone_into(&mut server.name);
        match &mut server.origin {
            Origin::Package(package) => package.changes = its,
            Origin::Command(_) => {
                return Err(usage!("{given}: {name} is not built here, so it has one version"));
            }
        }
        Ok(server)
    }

    /// The crate that `NAME@VERSION` gives another version of.
    ///
    /// # Errors
    /// There is no such server.
    pub fn runtime(&self, name: &str) -> Result<Option<String>> {
        Ok(self.known(name)?.runtime.clone())
    }

    fn known(&self, name: &str) -> Result<&ServerDef> {
        match suggest::find("server", name, &self.servers, |server| &server.name) {
            Err(_) if !self.has_checkout => Err(usage!("unknown server '{name}': {NO_CHECKOUT}")),
            found => found,
        }
    }
}

/// The manifests of a checkout, in the order of their folders' names.
fn manifests_below(root: &Path) -> Result<Vec<PathBuf>> {
    let runtimes = root.join("runtimes");
    let mut manifests: Vec<PathBuf> = fs::read_dir(&runtimes)
        .with_context(|| format!("cannot read {}", runtimes.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("runtime.toml")))
        .filter(|path| path.is_file())
        .collect();
    manifests.sort();
    Ok(manifests)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
