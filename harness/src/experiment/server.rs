//! What a server is: what to start, how to talk to it, what it has.

use crate::experiment::version::Change;
use crate::verify::{DeclaredRoute, Deviation, Level, Options};
use contract::route::Route;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::time::Duration;
use strum::{EnumString, IntoStaticStr};

/// What the name of a server ends in that runs a second time, as the control.
pub const CONTROL_SUFFIX: &str = ".control";

/// Stands for all servers on the command line.
pub const EVERYBODY: &str = "all";

/// How the harness talks to a server it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// It takes the contract's arguments and prints a ready line. The default for a package.
    Contract,
    /// It takes what its command line says, with `{addr}`, `{host}`, `{port}` and `{processes}` filled
    /// in, and is ready when it listens on that port. The default for a command.
    Port,
}

/// How a server becomes several processes behind one port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A package of this workspace, built alone.
    Package(Package),
    /// An outside command line, placeholders not yet filled in.
    Command(Vec<String>),
}

/// A package of this workspace, and how it is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Compiler flags of its own, beside those of every server.
    pub rustflags: Vec<String>,
    /// Crates that are not the checkout's.
    pub changes: Vec<Change>,
}

impl Package {
    /// A package that is built as it stands there.
    pub fn plain(name: &str) -> Package {
        Package { name: name.to_owned(), rustflags: Vec::new(), changes: Vec::new() }
    }

    /// A folder's name that is the same for the same changes, and another one for others.
    pub fn folder_name(&self) -> String {
        let hash = Sha256::digest(format!("{:?}", self.changes));
        let short = hash.iter().take(8).fold(0, |short: u64, byte| short << 8 | u64::from(*byte));
        format!("{}-{short:016x}", self.name)
    }
}

/// One server of the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// The crate that `NAME@VERSION` gives another version of.
    pub runtime: Option<String>,
    /// What it is listed under.
    pub family: String,
    /// Whether a command that names no server leaves it out.
    pub only_named: bool,
    /// One line about it.
    pub summary: String,
    /// The declared ways in which it answers differently.
    pub deviations: Vec<Deviation>,
    pub(super) needs: Vec<String>,
    pub(super) setup: Option<String>,
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
        matches!(self.origin, Origin::Package(_))
    }

    /// Whether it must answer everything as the others do, hostile requests too. An outside server speaks
    /// the HTTP of its own framework, and a ceiling or an oracle no more of it than it needs: of those only
    /// the plain replies are checked.
    pub fn answers_byte_for_byte(&self) -> bool {
        self.is_package() && self.role == Role::Contestant
    }
}
