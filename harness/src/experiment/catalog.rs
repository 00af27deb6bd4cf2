//! The servers there are: reads `runtimes/*/runtime.toml`, and a user's own manifests.

use crate::exit::usage;
use crate::experiment::root::NO_CHECKOUT;
use crate::experiment::suggest;
use crate::verify::{DeclaredRoute, Deviation, Level, Options, is_name};
use anyhow::{Context, Result};
use contract::route::{ROUTES, Route};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use strum::{EnumString, IntoStaticStr};
use wildmatch::WildMatch;

/// What the name of a server ends in that runs a second time, as the control.
pub const CONTROL_SUFFIX: &str = ".control";

/// Stands for all servers on the command line.
const EVERYBODY: &str = "all";

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

/// How the harness talks to a server it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// It takes the contract's arguments and prints a ready line. The default for a package.
    Contract,
    /// It takes what its command line says, with `{addr}`, `{host}`, `{port}` and `{processes}` filled
    /// in, and is ready when it listens on that port. The default for a command.
    Port,
}

/// How a server becomes several processes behind one port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Processes {
    /// It is started as often, with `--reuse-port`.
    #[default]
    ReusePort,
    /// It takes `--processes N` (or `{processes}`) and starts them itself.
    Argument,
    /// It cannot.
    One,
}

/// Whether its authors still maintain the runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Released to.
    #[default]
    Maintained,
    /// Not recommended by its authors for production.
    Experimental,
    /// Given up.
    Discontinued,
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Maintained => "maintained",
            Status::Experimental => "experimental",
            Status::Discontinued => "discontinued",
        }
    }
}

/// What a server is in a run for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// It is compared.
    #[default]
    Contestant,
    /// A contestant of the run under a second name, which must come out like the first. No manifest says so.
    #[serde(skip_deserializing)]
    Control,
    /// It shows what the client can do at the most, and is not compared.
    Ceiling,
    /// Its answer times are known in advance, for `harness selftest`. It runs only where it is named, and
    /// is not compared.
    Oracle,
}

impl Role {
    /// Its name in result files.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A package of this workspace, built alone.
    Package {
        /// Its name.
        name: String,
        /// Compiler flags of its own.
        rustflags: Vec<String>,
    },
    /// An outside command line, placeholders not yet filled in.
    Command(Vec<String>),
}

/// One server of the catalogue.
#[derive(Debug, Clone)]
pub struct ServerDef {
    /// Its name on the command line and in result files.
    pub name: String,
    /// What to start.
    pub origin: Origin,
    /// Arguments of its own.
    pub args: Vec<String>,
    /// The manifest, absolute.
    pub manifest: PathBuf,
    /// The manifest's folder, absolute.
    pub folder: PathBuf,
    /// How to talk to it.
    pub protocol: Protocol,
    /// How it becomes several processes.
    pub processes: Processes,
    /// How long it may take until it is ready.
    pub start_limit: Duration,
    /// Contestant, ceiling or oracle.
    pub role: Role,
    /// Names of the contract's routes that it has.
    pub has: Vec<String>,
    /// Routes of its own, which its manifest declares.
    pub routes: Vec<DeclaredRoute>,
    /// Whether the runtime is maintained.
    pub status: Status,
    /// What it is listed under.
    pub family: String,
    /// Whether a command that names no server leaves it out.
    pub only_named: bool,
    /// One line about it.
    pub summary: String,
    /// The declared ways in which it answers differently.
    pub deviations: Vec<Deviation>,
    needs: Vec<String>,
    setup: Option<String>,
}

impl ServerDef {
    /// What `harness verify` asks of this server at `level`, with the routes that it has and the deviations
    /// that its manifest declares.
    pub fn verify_options(&self, level: Level) -> Options {
        Options {
            has: self.has.clone(),
            routes: self.routes.clone(),
            deviations: self.deviations.clone(),
            ..Options::new(level)
        }
    }

    /// What has to be done before the server can run, as a sentence; `None` if it can.
    pub fn missing(&self) -> Option<String> {
        let absent = self.needs.iter().find(|need| !self.folder.join(need).exists())?;
        Some(match &self.setup {
            Some(setup) => format!("not set up: run {}", self.folder.join(setup).display()),
            None => format!("{} is missing", self.folder.join(absent).display()),
        })
    }

    /// Whether it has the contract's route of this name.
    pub fn has_route(&self, route: &str) -> bool {
        self.has.iter().any(|has| has == route)
    }

    /// Whether it can be asked for `target`: a path of the contract, such as `/asyncwait?ms=5`, or the name of
    /// a route that its manifest declares.
    pub fn has_target(&self, target: &str) -> bool {
        match Route::parse_target(target) {
            Ok(route) => self.has_route(route.name()),
            Err(_) => self.declared(target).is_some(),
        }
    }

    /// The route that its manifest declares under this name.
    pub fn declared(&self, target: &str) -> Option<&DeclaredRoute> {
        self.routes.iter().find(|route| route.name == target)
    }

    /// Whether it is built here, and so must carry the contract's hash.
    pub fn is_package(&self) -> bool {
        matches!(self.origin, Origin::Package { .. })
    }

    /// Whether it must answer everything as the others do, hostile requests too. An outside server speaks
    /// the HTTP of its own framework, and a ceiling or an oracle no more of it than it needs: of those only
    /// the plain replies are checked.
    pub fn answers_byte_for_byte(&self) -> bool {
        self.is_package() && self.role == Role::Contestant
    }
}

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
            for server in read_manifest(&path)? {
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
                let server = self.find(name)?;
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

    /// The server of this name.
    ///
    /// # Errors
    /// A usage error with the nearest names.
    pub fn find(&self, name: &str) -> Result<&ServerDef> {
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

fn read_manifest(path: &Path) -> Result<Vec<ServerDef>> {
    let text = fs::read_to_string(path).map_err(|e| usage!("cannot read {}: {e}", path.display()))?;
    let absolute = fs::canonicalize(path)?;
    let servers = parse(&text).and_then(|manifest| servers_of(manifest, &absolute));
    servers.map_err(|problem| usage!("{}: {problem}", path.display()))
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
        (Some(name), None) => Origin::Package { name, rustflags: manifest.rustflags },
        _ if !manifest.rustflags.is_empty() => return Err("rustflags are a package's".into()),
        (None, Some(command)) if !command.is_empty() => Origin::Command(command),
        _ => return Err("give either a package or a command".into()),
    };
    let protocol = manifest.protocol.unwrap_or(match origin {
        Origin::Package { .. } => Protocol::Contract,
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
        None if matches!(origin, Origin::Package { .. }) => Ok(all()),
        None if declared.is_empty() => Err(
            "say which of the contract's routes it has, as in has = [\"wait\"], or declare its own, each as \
                 [[route]]"
                .into(),
        ),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
