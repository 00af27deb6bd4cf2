//! The servers there are: reads `runtimes/*/runtime.toml`, and a user's own manifest.

use crate::exit::usage;
use crate::experiment::suggest;
use crate::verify::{Deviation, Level, Options};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the name of a server ends in that runs a second time, as the control.
pub const CONTROL_SUFFIX: &str = ".control";

/// How long a server may take until it is ready, where its manifest does not say.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A `runtime.toml`: one package or outside command, and the servers it gives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// The cargo package, for a server built on the contract.
    package: Option<String>,
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
    #[serde(default)]
    lacks: Vec<String>,
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

/// What a server is in the matrix for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It is compared.
    #[default]
    Contestant,
    /// It shows what the client can do at the most, and is not compared.
    Ceiling,
    /// Its answer times are known in advance, for `harness selftest`. It runs only where it is named, and
    /// is not compared.
    Oracle,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A package of this workspace, built alone.
    Package(String),
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
    /// Names of the routes it does not have.
    pub lacks: Vec<String>,
    /// Whether the runtime is maintained.
    pub status: Status,
    /// One line about it.
    pub summary: String,
    /// The declared ways in which it answers differently.
    pub deviations: Vec<Deviation>,
    pub routes: Vec<DeclaredRoute>,
    needs: Vec<String>,
    setup: Option<String>,
}

/// A route that a manifest declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredRoute {
    pub name: String,
    pub method: String,
    pub path: String,
    pub headers: std::collections::BTreeMap<String, String>,
    pub body: String,
    pub status: u16,
    pub answer: Answer,
}

/// What a right answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Exact(String),
    Length(usize),
    Probe,
}

impl ServerDef {
    pub fn has_target(&self, target: &str) -> bool {
        contract::route::Route::parse_target(target).is_ok_and(|route| self.has_route(route.name()))
    }
    pub fn declared(&self, target: &str) -> Option<&DeclaredRoute> {
        self.routes.iter().find(|route| route.name == target)
    }
    /// What `harness verify` replays to this server at `level`, with the routes that it lacks and the
    /// deviations that its manifest declares.
    pub fn verify_options(&self, level: Level) -> Options {
        Options { lacks: self.lacks.clone(), deviations: self.deviations.clone(), ..Options::new(level) }
    }

    /// What has to be done before the server can run, as a sentence; `None` if it can.
    pub fn missing(&self) -> Option<String> {
        let absent = self.needs.iter().find(|need| !self.folder.join(need).exists())?;
        Some(match &self.setup {
            Some(setup) => format!("not set up: run {}", self.folder.join(setup).display()),
            None => format!("{} is missing", self.folder.join(absent).display()),
        })
    }

    /// Whether it has the route of this name.
    pub fn has_route(&self, route: &str) -> bool {
        !self.lacks.iter().any(|lack| lack == route)
    }

    /// Whether it is built here, and so must carry the contract's hash.
    pub fn is_package(&self) -> bool {
        matches!(self.origin, Origin::Package(_))
    }

    /// Whether it must answer everything as the others do, hostile requests too. An outside server speaks
    /// the HTTP of its own framework, and a ceiling or an oracle no more of it than it needs: of those only
    /// the plain replies are checked.
    pub fn answers_byte_for_byte(&self) -> bool {
        self.is_package() && self.role == Role::Contestant
    }
}

/// All servers, in the order of their folders' names.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The servers.
    pub servers: Vec<ServerDef>,
}

impl Catalog {
    /// Reads every `runtimes/*/runtime.toml` below `root`, and then the manifest `own`.
    ///
    /// # Errors
    /// A manifest that cannot be read or is wrong, or a name given twice.
    pub fn read(root: &Path, own: &[PathBuf]) -> Result<Catalog> {
        let runtimes = root.join("runtimes");
        let mut manifests: Vec<PathBuf> = fs::read_dir(&runtimes)
            .with_context(|| format!("cannot read {}", runtimes.display()))?
            .filter_map(|entry| Some(entry.ok()?.path().join("runtime.toml")))
            .filter(|path| path.is_file())
            .collect();
        manifests.sort();
        manifests.extend(own.iter().cloned());
        let mut servers: Vec<ServerDef> = Vec::new();
        for path in manifests {
            for server in read_manifest(&path)? {
                if let Some(other) = servers.iter().find(|s| s.name == server.name) {
                    return Err(usage!(
                        "{}: there is a server '{}' already, in {}",
                        path.display(),
                        server.name,
                        other.folder.display()
                    ));
                }
                servers.push(server);
            }
        }
        Ok(Catalog { servers })
    }

    /// The server of this name.
    ///
    /// # Errors
    /// A usage error with the nearest names.
    pub fn find(&self, name: &str) -> Result<&ServerDef> {
        suggest::find("server", name, &self.servers, |server| &server.name)
    }
}

fn read_manifest(path: &Path) -> Result<Vec<ServerDef>> {
    let text = fs::read_to_string(path).map_err(|e| usage!("cannot read {}: {e}", path.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).map_err(|e| usage!("{}: {}", path.display(), e.to_string().trim_end()))?;
    let folder = fs::canonicalize(path)?.parent().context("a file has a folder")?.to_path_buf();
    servers_of(manifest, &folder).map_err(|problem| usage!("{}: {problem}", path.display()))
}

fn servers_of(manifest: Manifest, folder: &Path) -> Result<Vec<ServerDef>, String> {
    let origin = match (manifest.package, manifest.command) {
        (Some(package), None) => Origin::Package(package),
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
    let mut servers = Vec::new();
    for server in manifest.servers {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !server.name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !server.name.chars().all(plain) {
            return Err(format!("'{}' is no name: use letters, digits, '-', '_' and '.'", server.name));
        }
        if server.name.ends_with(CONTROL_SUFFIX) {
            return Err(format!("'{}': a name ending in {CONTROL_SUFFIX} is the control's", server.name));
        }
        for lack in &server.lacks {
            suggest::find("route", lack, contract::route::ROUTES, |route| route.name)
                .map_err(|e| e.to_string())?;
        }
        servers.push(ServerDef {
            name: server.name,
            origin: origin.clone(),
            args: server.args,
            folder: folder.to_path_buf(),
            protocol,
            processes,
            start_limit,
            role: server.role,
            lacks: server.lacks,
            status: manifest.status,
            summary: server.summary,
            deviations: manifest.deviations.clone(),
            routes: Vec::new(),
            needs: manifest.needs.clone(),
            setup: manifest.setup.clone(),
        });
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<ServerDef>, String> {
        let manifest = toml::from_str(text).map_err(|e| e.to_string())?;
        servers_of(manifest, Path::new("/nowhere"))
    }

    #[test]
    fn a_package_and_a_command_differ_in_their_defaults() {
        let package = &parse("package = 'rt-x'\n[[server]]\nname = 'x'").expect("valid")[0];
        assert_eq!((package.protocol, package.processes), (Protocol::Contract, Processes::ReusePort));
        let command = &parse("command = ['x', '{port}']\n[[server]]\nname = 'x'").expect("valid")[0];
        assert_eq!((command.protocol, command.processes), (Protocol::Port, Processes::One));
        assert!(!command.is_package());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("[[server]]\nname = 'x'", "either a package or a command"),
            ("package = 'a'\ncommand = ['b']\n[[server]]\nname = 'x'", "either a package or a command"),
            ("package = 'a'", "no [[server]]"),
            ("command = ['a']\n[[server]]\nname = 'x'", "write {port}"),
            ("package = 'a'\nstart_limit_s = 0\n[[server]]\nname = 'x'", "start_limit_s"),
            ("package = 'a'\nflavour = 1\n[[server]]\nname = 'x'", "unknown field"),
            ("package = 'a'\n[[server]]\nname = '=x'", "is no name"),
            ("package = 'a'\n[[server]]\nname = 'x.control'", "is the control's"),
            ("package = 'a'\n[[server]]\nname = 'x'\nlacks = ['wiat']", "did you mean wait"),
        ] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_is_missing_names_the_script() {
        let text = "command = ['x', '{port}']\nneeds = ['y']\nsetup = 'setup.sh'\n[[server]]\nname = 'x'";
        let missing = parse(text).expect("valid")[0].missing().expect("nothing is there");
        assert!(missing.contains("/nowhere/setup.sh"), "{missing}");
    }

    #[test]
    fn the_project_s_own_manifests_are_valid() {
        let root = crate::experiment::root::find().expect("a clone");
        let catalog = Catalog::read(&root, &[]).expect("valid manifests");
        assert!(catalog.find("smol").is_ok());
        assert!(catalog.find("nosuch").is_err());
    }
}
