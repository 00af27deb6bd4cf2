//! The machine and the build a run was made on, for `run.json`.

use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run ran on. A fact that the machine does not tell is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    host: String,
    cpu_model: Option<String>,
    cores: usize,
    threads_per_core: Option<String>,
    hypervisor: bool,
    kernel: Option<String>,
    kernel_command_line: Option<String>,
    clock_source: Option<String>,
    cpu_governor: Option<String>,
    memory_bytes: Option<u64>,
    open_files_limit: Option<u64>,
    somaxconn: Option<String>,
    ephemeral_ports: Option<String>,
}

impl Machine {
    /// This machine.
    pub fn read() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line =
                cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|k| k.trim() == name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        Machine {
            host: host(),
            cpu_model: field("model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            threads_per_core: text("/sys/devices/system/cpu/smt/active"),
            hypervisor: field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            kernel: text("/proc/sys/kernel/osrelease"),
            kernel_command_line: text("/proc/cmdline").map(|line| kernel_parameters(&line)),
            clock_source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            cpu_governor: text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_bytes: memory(),
            open_files_limit: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
            somaxconn: text("/proc/sys/net/core/somaxconn"),
            ephemeral_ports: text("/proc/sys/net/ipv4/ip_local_port_range"),
        }
    }
}

impl Machine {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.host
    }
}

/// The first fact in which two machines differ, in words: figures of both do not belong into one run.
pub fn differing(was: &Machine, is: &Machine) -> Option<String> {
    let facts = |machine: &Machine| serde_json::to_value(machine).unwrap_or_default();
    let (was, is) = (facts(was), facts(is));
    let (key, value) = was.as_object()?.iter().find(|(key, value)| is.get(*key) != Some(value))?;
    Some(format!("its {key} was {value} and is {}", is.get(key).unwrap_or(&serde_json::Value::Null)))
}

/// The kernel's own parameters: without what follows `--`, which is for the first process, and without
/// paths, which say nothing about the kernel and may say too much about the machine.
fn kernel_parameters(line: &str) -> String {
    let own = line.split_whitespace().take_while(|word| *word != "--");
    own.filter(|word| !word.contains('/')).collect::<Vec<_>>().join(" ")
}

/// The host's name, for a directory's name.
pub fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if plain.is_empty() { "host".to_owned() } else { plain }
}

fn text(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The variables of the environment that clients and the servers built here are started with: what a program needs to
/// find others and a place for files. Anything else (an allocator's tunables, a runtime's thread count) would be measured.
pub const ENVIRONMENT: [&str; 3] = ["HOME", "PATH", "TMPDIR"];

/// What a run was built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    harness_version: String,
    /// Of the program that runs now: its clients are what measures.
    harness_sha256: Option<String>,
    contract: String,
    commit: Option<String>,
    dirty: Option<bool>,
    lockfile_sha256: Option<String>,
    rustc: Option<String>,
    profile: String,
    allocator: String,
    /// The variables that servers were started with. Runs from before passed the whole environment on.
    #[serde(default)]
    environment: Vec<String>,
}

impl Build {
    /// The build in the checkout at `root`; without one no commit, lock file or compiler is known.
    pub fn read(root: Option<&Path>) -> Build {
        let output = |program: &str, arguments: &[&str]| output(root?, program, arguments);
        Build {
            harness_version: env!("CARGO_PKG_VERSION").into(),
            harness_sha256: std::env::current_exe().ok().and_then(|program| sha256(&program)),
            contract: contract::HASH.into(),
            commit: output("git", &["rev-parse", "HEAD"]),
            // A run's own directory is not a change to what was built.
            dirty: output("git", &["status", "--porcelain", "--", ".", ":!results"])
                .map(|changes| !changes.is_empty()),
            lockfile_sha256: root.and_then(|root| sha256(&root.join("Cargo.lock"))),
            rustc: output("rustc", &["--version"]),
            profile: "server".into(),
            allocator: "system".into(),
            environment: ENVIRONMENT.map(str::to_owned).to_vec(),
        }
    }
}

impl Build {
    /// Whether the harness or the contract is another one.
    pub fn is_another(&self, other: &Build) -> bool {
        (&self.harness_sha256, &self.contract) != (&other.harness_sha256, &other.contract)
    }
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).current_dir(root).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Option<String> {
    let digest = Sha256::digest(fs::read(path).ok()?);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_command_line_is_recorded_without_paths_and_without_the_first_process_s_arguments() {
        let line = "quiet root=/dev/vda1 mitigations=auto -- --addr 0.0.0.0:1";
        assert_eq!(kernel_parameters(line), "quiet mitigations=auto");
    }

    #[test]
    fn machines_differ_in_any_fact() {
        let machine = Machine::read();
        assert_eq!(differing(&machine, &Machine::read()), None);
        let other = Machine { kernel: Some("1.0".into()), ..machine.clone() };
        assert!(
            differing(&other, &machine).expect("another kernel").starts_with("its kernel was \"1.0\" and is")
        );
    }

    #[test]
    fn a_hash_is_that_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("abc");
        fs::write(&path, "abc").expect("written");
        // FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&path).as_deref(), Some(known));
        assert_eq!(sha256(&folder.path().join("nothing")), None);
    }
}
