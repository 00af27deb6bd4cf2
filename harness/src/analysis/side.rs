//! One side of a comparison: a run, or one server of a run.

use crate::analysis::role::role;
use crate::analysis::until::alpha_of;
use crate::exit::usage;
use crate::experiment::server::Role;
use crate::record::directory::{RUN, read_cells};
use crate::record::row::Row;
use crate::record::rows::counting;
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A run's rows that count, and which of its servers is meant.
#[derive(Debug)]
pub struct Side {
    /// The run's directory, as given.
    pub dir: PathBuf,
    /// The server, if one was named.
    pub server: Option<String>,
    /// All rows of the run that count, for its controls.
    pub run: Vec<Row>,
    /// The rows that are compared.
    pub rows: Vec<Row>,
    /// The error rate that statements on the run keep.
    pub alpha: f64,
    circumstances: Value,
}

impl Side {
    /// Reads `DIR` or `DIR:SERVER`.
    ///
    /// # Errors
    /// A usage error: there is no such run, or no such server in it.
    pub fn read(text: &str) -> Result<Side> {
        let (dir, server) = match text.rsplit_once(':') {
            // A directory may have a colon in its name.
            Some((dir, server)) if !Path::new(text).is_dir() => (dir, Some(server.to_owned())),
            _ => (text, None),
        };
        let dir = PathBuf::from(dir);
        let run = counting(&read_cells(&dir)?);
        if let Some(server) = &server {
            let names: BTreeSet<&str> = run.iter().map(|row| row.server.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            crate::experiment::suggest::find("server", server, &names, |name| name)
                .map_err(|error| usage!("{}: {error}", dir.display()))?;
        }
        let rows = run.iter().filter(|row| match &server {
            Some(server) => row.server == *server,
            None => role(row) == Role::Contestant,
        });
        let circumstances = fs::read(dir.join(RUN)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let rows = rows.cloned().collect();
        let alpha = alpha_of(&dir);
        Ok(Side { rows, dir, server, run, alpha, circumstances: circumstances.unwrap_or_default() })
    }

    /// Returns true if both are of one run, whose blocks interleave all its servers.
    pub fn is_same_run(&self, other: &Side) -> bool {
        let real = |side: &Side| fs::canonicalize(&side.dir).unwrap_or_else(|_| side.dir.clone());
        real(self) == real(other)
    }

    /// Says in a line what is compared: the run, the server, and what the server said it is.
    pub fn title(&self) -> String {
        let dir = self.dir.display();
        let Some(server) = &self.server else { return dir.to_string() };
        let Some(row) = self.rows.iter().find(|row| !row.runtime.is_empty()) else {
            return format!("{server} of {dir}");
        };
        let version = format!("{} {}", row.runtime, row.runtime_version);
        let facts: Vec<&str> = [version.trim(), &row.flavor, &row.http_stack]
            .into_iter()
            .filter(|fact| !fact.is_empty())
            .collect();
        format!("{server} of {dir} ({})", facts.join(", "))
    }

    /// Names the facts about the machine and the compiler in which the sides differ.
    pub fn differences(&self, other: &Side) -> Vec<String> {
        let facts = ["host", "cpu_model", "cores", "kernel"].map(|key| format!("/machine/{key}"));
        let facts = facts.into_iter().chain(["/build/rustc".to_owned(), "/build/allocator".to_owned()]);
        let name = |fact: &str| fact.rsplit('/').next().unwrap_or_default().replace('_', " ");
        let of = |side: &Side, fact: &str| side.circumstances.pointer(fact).cloned();
        facts.filter(|fact| of(self, fact) != of(other, fact)).map(|fact| name(&fact)).collect()
    }

    /// Names the servers and the workloads, for a message that the sides have nothing in common.
    pub fn contents(&self) -> String {
        let servers: BTreeSet<&str> = self.rows.iter().map(|row| row.server.as_str()).collect();
        let workloads: BTreeSet<&str> = self.rows.iter().map(|row| row.workload.as_str()).collect();
        let few = |names: Vec<&str>| match names.len() {
            0..=4 => names.join("; "),
            n => format!("{} and {} more", names[..3].join("; "), n - 3),
        };
        let servers = few(servers.into_iter().collect());
        format!("{servers} on {}", few(workloads.into_iter().collect()))
    }
}
