//! The hosts of a run, each with its agent: this machine alone, or those that `--hosts` says.

use crate::agent::handles::Agent;
use crate::agent::placement::{Asked, Placing};
use crate::exit::usage;
use crate::experiment::hosts::{self, HostRole, HostSpec, SLURM};
use crate::host::machine::{self, Machine};
use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::process::Command;
use std::thread;

/// The hosts of a run. Clones have the same agents.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// The server's first. This machine alone is both that and its client's.
    hosts: Vec<Host>,
    /// Whether the servers and the clients are on one host.
    is_one: bool,
}

/// A host and its agent.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the rows.
    pub name: String,
    /// Its agent.
    pub agent: Agent,
    spec: HostSpec,
}

/// A host in `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    pub(super) name: String,
    pub(super) role: HostRole,
    pub(super) address: Option<IpAddr>,
    pub(super) machine: Machine,
}

impl Hosts {
    /// This machine alone.
    ///
    /// # Errors
    /// In words: its agent does not start.
    pub fn local() -> Result<Hosts, String> {
        let name = machine::host();
        let spec = HostSpec { name: name.clone(), launch: Vec::new(), address: None, role: HostRole::Server };
        Ok(Hosts { hosts: vec![Host { name, agent: Agent::local()?, spec }], is_one: true })
    }

    /// No host at all: for what only looks at the files of a run.
    pub(super) fn none() -> Hosts {
        Hosts { hosts: Vec::new(), is_one: true }
    }

    /// The hosts that `--hosts` says: those of a file, or of the Slurm allocation that this process is in.
    ///
    /// # Errors
    /// One line: the file is wrong, or which host cannot be used, and why.
    pub fn of(file: &Path) -> Result<Hosts> {
        let specs = if file == Path::new(SLURM) { of_slurm()? } else { hosts::read(file)? };
        // Each may take its time.
        let started: Vec<Result<Agent, String>> = thread::scope(|scope| {
            let start = |spec: &HostSpec| {
                let launch = spec.launch.clone();
                scope.spawn(move || Agent::behind(&launch))
            };
            let starting: Vec<_> = specs.iter().map(start).collect();
            let joined = starting.into_iter().map(|agent| agent.join());
            joined.map(|agent| agent.unwrap_or_else(|_| Err("starting it panicked".to_owned()))).collect()
        });
        let mut hosts = Vec::new();
        for (spec, agent) in specs.into_iter().zip(started) {
            let agent = agent.map_err(|problem| anyhow!("host {}: {problem}", spec.name))?;
            hosts.push(Host { name: spec.name.clone(), agent, spec });
        }
        Ok(Hosts { hosts, is_one: false })
    }

    /// The host of the servers.
    pub fn server(&self) -> &Host {
        &self.hosts[0]
    }

    /// The hosts of the clients; one at the least.
    pub fn clients(&self) -> &[Host] {
        if self.is_one { &self.hosts } else { &self.hosts[1..] }
    }

    /// Whether the servers and the clients are on one host.
    pub fn is_one(&self) -> bool {
        self.is_one
    }

    /// Where the servers listen; `None` for the loopback address.
    pub fn address(&self) -> Option<IpAddr> {
        self.server().spec.address
    }

    /// Which CPUs everybody gets. `has_engine` says whether a load of the load engine is measured.
    ///
    /// # Errors
    /// One line for the person who gave the flags.
    pub fn placing(&self, asked: Asked, has_engine: bool) -> Result<Placing, String> {
        let cores = |host: &Host| host.agent.hello().cores.clone();
        match self.is_one {
            true => Placing::new(cores(self.server()), asked, has_engine),
            false => {
                let clients: Vec<_> = self.clients().iter().map(cores).collect();
                Placing::on_hosts(&cores(self.server()), &clients, asked)
            }
        }
    }

    /// How many files a process may have open on each of the hosts, at the least.
    pub fn open_files(&self) -> u64 {
        self.hosts.iter().map(|host| host.agent.hello().open_files).min().unwrap_or(0)
    }

    /// What `run.json` says of several hosts; nothing of one, whose machine is the run's.
    pub fn records(&self) -> Vec<HostRecord> {
        let hosts = self.hosts.iter().filter(|_| !self.is_one);
        let record = |host: &Host| HostRecord {
            name: host.name.clone(),
            role: host.spec.role,
            address: host.spec.address,
            machine: host.agent.hello().machine.clone(),
        };
        hosts.map(record).collect()
    }

    /// Starts agents anew that are gone. What one took with it is in the rows before.
    ///
    /// # Errors
    /// One line: which host cannot be used any more, and why.
    pub fn renew(&mut self) -> Result<(), String> {
        for host in &mut self.hosts {
            if let Some(gone) = host.agent.gone() {
                host.agent = Agent::behind(&host.spec.launch)
                    .map_err(|problem| format!("host {}: {gone}; and again: {problem}", host.name))?;
            }
        }
        Ok(())
    }
}

/// The hosts of the allocation: the first node is the server's, the others are clients'.
fn of_slurm() -> Result<Vec<HostSpec>> {
    let Ok(list) = std::env::var("SLURM_JOB_NODELIST") else {
        return Err(usage!(
            "--hosts {SLURM}: this is no allocation of Slurm, as salloc and sbatch make: SLURM_JOB_NODELIST is not set"
        ));
    };
    let names =
        scontrol(&["show", "hostnames", &list]).map_err(|problem| anyhow!("--hosts {SLURM}: {problem}"))?;
    let nodes: Vec<&str> = names.split_whitespace().collect();
    specs_of(&nodes, address_of).map_err(|problem| usage!("--hosts {SLURM}: {problem}"))
}

/// What a call of Slurm's own command says.
fn scontrol(words: &[&str]) -> Result<String, String> {
    let output = Command::new("scontrol").args(words).output();
    let output = output.map_err(|error| format!("cannot start scontrol: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("scontrol: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn specs_of(
    nodes: &[&str],
    address: impl Fn(&str) -> Result<IpAddr, String>,
) -> Result<Vec<HostSpec>, String> {
    if nodes.len() < 2 {
        return Err(format!("the allocation has {} node, and server and client need one each", nodes.len()));
    }
    let spec = |(place, node): (usize, &&str)| {
        let words = ["srun", "-w", *node, "-N1", "-n1", "--overlap", "--export=ALL"];
        let launch = words.map(str::to_owned).to_vec();
        let (role, address) = match place {
            0 => (HostRole::Server, Some(address(node)?)),
            _ => (HostRole::Client, None),
        };
        Ok(HostSpec { name: (*node).to_owned(), launch, address, role })
    };
    hosts::checked(nodes.iter().enumerate().map(spec).collect::<Result<_, String>>()?)
}

/// The address of a node, as Slurm has it.
fn address_of(node: &str) -> Result<IpAddr, String> {
    let about = scontrol(&["show", "node", "--oneliner", node])?;
    let name = about.split_whitespace().find_map(|word| word.strip_prefix("NodeAddr=")).unwrap_or(node);
    let mut found = (name, 0).to_socket_addrs().map_err(|error| format!("{node}: {name}: {error}"))?;
    found.find(|addr| !addr.ip().is_loopback()).map(|addr| addr.ip()).ok_or_else(|| {
        format!("{node} has no address that another node could reach: give --hosts a file that says it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_of_an_allocation_is_the_server_s() {
        let address =
            |node: &str| if node == "n1" { Ok([10, 0, 0, 1].into()) } else { Err("unknown".to_owned()) };
        let specs = specs_of(&["n1", "n2", "n3"], address).expect("three nodes");
        assert_eq!((specs[0].role, specs[0].address), (HostRole::Server, Some([10, 0, 0, 1].into())));
        assert_eq!(specs[2].launch[..3], ["srun", "-w", "n3"]);
        assert!(specs[1..].iter().all(|spec| spec.role == HostRole::Client && spec.address.is_none()));
        assert!(specs_of(&["n1"], address).expect_err("alone").contains("has 1 node"));
        assert_eq!(specs_of(&["n2", "n1"], address), Err("unknown".to_owned()));
    }
}
