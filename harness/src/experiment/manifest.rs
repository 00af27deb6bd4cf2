//! `runtime.toml`: from its text to the servers that it gives.

use super::server::{
    CONTROL_SUFFIX, EVERYBODY, Origin, Package, Processes, Protocol, Role, ServerDef, Status,
};
use crate::exit::usage;
use crate::experiment::suggest;
use crate::verify::{DeclaredRoute, Deviation, is_name};
use anyhow::Result;
use contract::route::ROUTES;
use serde::Deserialize;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Stands for all of the contract's routes in `has`.
const ALL: &str = "*";

/// How long a server may take until it is ready, where its manifest does not say.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A `runtime.toml`: one package or outside command, and the servers it gives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// The cargo package, for a server built on the contract.
    package: Option<String>,
    /// Compiler flags of this package alone, beside those of every server.
    #[serde(default)]
    rustflags: Vec<String>,
    /// The crate that `NAME@VERSION` gives another version of.
    #[serde(rename = "crate")]
    runtime: Option<String>,
    /// What its servers are listed under; the folder's name where nothing is said.
    family: Option<String>,
    /// The command line, for an outside server. `{dir}` is the manifest's folder; see [`Protocol`].
    command: Option<Vec<String>>,
    /// Files the command needs, relative to the folder.
    #[serde(default)]
    needs: Vec<String>,
    /// The script, relative to the folder, that makes what `needs` lists.
    setup: Option<String>,
    protocol: Option<Protocol>,
    /// How long it may take until it is ready, in seconds.
    start_limit_s: Option<f64>,
    #[serde(default)]
    processes: Processes,
    #[serde(default)]
    status: Status,
    #[serde(default, rename = "server")]
    servers: Vec<ManifestServer>,
    #[serde(default, rename = "route")]
    routes: Vec<DeclaredRoute>,
    #[serde(default, rename = "deviation")]
    deviations: Vec<Deviation>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestServer {
    name: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    role: Role,
    /// The contract's routes that it has, or `["*"]`. All of them where nothing is said of a package.
    has: Option<Vec<String>>,
    /// Whether a command that names no server leaves it out.
    #[serde(default)]
    only_named: bool,
    #[serde(default)]
    summary: String,
}

/// The servers of the manifest at `path`.
///
/// # Errors
/// One line with the file, and the line or the field that is wrong.
pub(super) fn read(path: &Path) -> Result<Vec<ServerDef>> {
    let text = fs::read_to_string(path).map_err(|e| usage!("cannot read {}: {e}", path.display()))?;
    let absolute = fs::canonicalize(path)?;
    servers(&text, &absolute).map_err(|problem| usage!("{}: {problem}", path.display()))
}

/// The servers of a manifest's text, which stands at `path`.
///
/// # Errors
/// The line or the field that is wrong.
pub fn servers(text: &str, path: &Path) -> Result<Vec<ServerDef>, String> {
    parse(text).and_then(|manifest| servers_of(manifest, path))
}

/// Parses a manifest.
///
/// # Errors
/// One line with the number of the line that is wrong.
fn parse(text: &str) -> Result<Manifest, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", error.message().replace('\n', " "))
    })
}

fn servers_of(manifest: Manifest, path: &Path) -> Result<Vec<ServerDef>, String> {
    let origin = match (manifest.package, manifest.command) {
        (Some(name), None) => {
            Origin::Package(Package { rustflags: manifest.rustflags, ..Package::plain(&name) })
        }
        _ if !manifest.rustflags.is_empty() => return Err("rustflags are a package's".into()),
        (None, Some(command)) if !command.is_empty() => Origin::Command(command),
        _ => return Err("give either a package or a command".into()),
    };
    let protocol = manifest.protocol.unwrap_or(match origin {
        Origin::Package(_) => Protocol::Contract,
        Origin::Command(_) => Protocol::Port,
    });
    let processes = match (&origin, protocol) {
        (Origin::Command(command), Protocol::Port) if !command.iter().any(|w| w.contains("{processes}")) => {
            Processes::One
        }
        (Origin::Command(_), Protocol::Port) => Processes::Argument,
        _ => manifest.processes,
    };
    let start_limit = match manifest.start_limit_s {
        None => START_LIMIT,
        Some(seconds) if (0.01..=3600.0).contains(&seconds) => Duration::from_secs_f64(seconds),
        Some(seconds) => return Err(format!("start_limit_s = {seconds}: give a number from 0.01 to 3600")),
    };
    let has_port = |word: &String| word.contains("{port}") || word.contains("{addr}");
    if let (Origin::Command(command), Protocol::Port) = (&origin, protocol)
        && !command.iter().chain(manifest.servers.iter().flat_map(|s| &s.args)).any(has_port)
    {
        return Err("the command has to say where its port goes: write {port} or {addr} in it".into());
    }
    if manifest.servers.is_empty() {
        return Err("no [[server]] is given".into());
    }
    let mut routes: Vec<DeclaredRoute> = Vec::new();
    for route in manifest.routes {
        if routes.iter().any(|other| other.name == route.name) {
            return Err(format!("route '{}': name: it is given twice", route.name));
        }
        routes.push(route);
    }
    let folder = path.parent().unwrap_or(path);
    let name = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let family = manifest.family.unwrap_or_else(name);
    let mut servers = Vec::new();
    for server in manifest.servers {
        if !is_name(&server.name) {
            return Err(format!("'{}' is no name: use letters, digits, '-', '_' and '.'", server.name));
        }
        if server.name == EVERYBODY {
            return Err(format!("'{EVERYBODY}' is no name: it stands for all servers"));
        }
        if server.name.ends_with(CONTROL_SUFFIX) {
            return Err(format!("'{}': a name ending in {CONTROL_SUFFIX} is the control's", server.name));
        }
        let has =
            has(&server, &origin, &routes).map_err(|e| format!("server '{}': has: {e}", server.name))?;
        servers.push(ServerDef {
            name: server.name,
            origin: origin.clone(),
            args: server.args,
            manifest: path.to_path_buf(),
            folder: folder.to_path_buf(),
            protocol,
            processes,
            start_limit,
            role: server.role,
            has,
            routes: routes.clone(),
            status: manifest.status,
            runtime: manifest.runtime.clone(),
            family: family.clone(),
            only_named: server.only_named,
            summary: server.summary,
            deviations: manifest.deviations.clone(),
            needs: manifest.needs.clone(),
            setup: manifest.setup.clone(),
        });
    }
    Ok(servers)
}

/// The contract's routes that a server has.
fn has(server: &ManifestServer, origin: &Origin, declared: &[DeclaredRoute]) -> Result<Vec<String>, String> {
    let all = || ROUTES.iter().map(|route| route.name.to_owned()).collect();
    match &server.has {
        Some(has) if has.is_empty() && declared.is_empty() => Err("it has no route at all".into()),
        Some(has) if *has == [ALL] => Ok(all()),
        Some(has) => {
            for name in has {
                if declared.iter().any(|route| route.name == *name) {
                    return Err(format!("'{name}' is declared as [[route]], and need not be named here"));
                }
                suggest::find("route", name, ROUTES, |route| route.name).map_err(|e| e.to_string())?;
            }
            Ok(has.clone())
        }
        None if matches!(origin, Origin::Package(_)) => Ok(all()),
        None if declared.is_empty() => Err(
            "say which of the contract's routes it has, as in has = [\"wait\"], or declare its own, each as \
                 [[route]]"
                .into(),
        ),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
