//! The hosts of a run: the machines that its server and its clients are on, as `--hosts FILE` says.

use crate::exit::usage;
use crate::verify::is_name;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// What stands for the hosts of the Slurm allocation that the harness runs in.
pub const SLURM: &str = "slurm";

/// What runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostRole {
    /// The servers.
    Server,
    /// A client, which shares the load with those of other hosts.
    Client,
}

/// One host: `[[host]]` in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// Its name in result files.
    pub name: String,
    /// The command line that a program is put behind to run there: `["ssh", "bench-1"]`. Empty for this machine.
    #[serde(default)]
    pub launch: Vec<String>,
    /// Where its servers listen.
    pub address: Option<IpAddr>,
    /// What runs there.
    pub role: HostRole,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "host")]
    hosts: Vec<HostSpec>,
}

/// Reads the hosts of a file: the server's first, then those of the clients in their order.
///
/// # Errors
/// One line about what is wrong.
pub fn read(path: &Path) -> Result<Vec<HostSpec>> {
    let text = fs::read_to_string(path).map_err(|error| usage!("cannot read {}: {error}", path.display()))?;
    parse(&text).map_err(|problem| usage!("{}: {problem}", path.display()))
}

/// Reads the hosts of a file's text: the server's first.
///
/// # Errors
/// In words: what is wrong.
pub fn parse(text: &str) -> Result<Vec<HostSpec>, String> {
    let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", error.message().replace('\n', " "))
    })?;
    checked(file.hosts)
}

/// Puts the server's host first.
///
/// # Errors
/// In words: there is not one host for the server and another for a client, or a host lacks something.
pub fn checked(mut hosts: Vec<HostSpec>) -> Result<Vec<HostSpec>, String> {
    for (place, host) in hosts.iter().enumerate() {
        let name = &host.name;
        if !is_name(name) {
            return Err(format!("host '{name}': name: use letters, digits, '-', '_' and '.'"));
        }
        if hosts[..place].iter().any(|other| other.name == *name) {
            return Err(format!("host '{name}': there are two of this name"));
        }
        match (host.role, host.address) {
            (HostRole::Server, None) => {
                return Err(format!(
                    "host '{name}': address: say where its servers listen, as in \"10.0.0.1\""
                ));
            }
            (HostRole::Server, Some(address)) if address.is_unspecified() => {
                return Err(format!(
                    "host '{name}': address: {address} is no address that a client could reach"
                ));
            }
            (HostRole::Client, Some(_)) => {
                return Err(format!("host '{name}': address: has no effect on a client"));
            }
            _ => {}
        }
    }
    let count = |role| hosts.iter().filter(|host| host.role == role).count();
    if count(HostRole::Server) != 1 {
        return Err(format!("give one host the role server: there are {}", count(HostRole::Server)));
    }
    if count(HostRole::Client) == 0 {
        return Err("give a host the role client".to_owned());
    }
    hosts.sort_by_key(|host| host.role != HostRole::Server);
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "[[host]]\nname = 'b'\nlaunch = ['ssh', 'bench-2']\nrole = 'client'\n";
    const SERVER: &str =
        "[[host]]\nname = 'a'\nlaunch = ['ssh', 'bench-1']\naddress = '10.77.0.1'\nrole = 'server'\n";

    #[test]
    fn the_server_s_host_comes_first() {
        let hosts = parse(&[CLIENT, SERVER].concat()).expect("valid");
        assert_eq!(hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((hosts[0].address, hosts[0].launch.len()), (Some([10, 77, 0, 1].into()), 2));
        let here = parse(&[SERVER, "[[host]]\nname = 'b'\nrole = 'client'\n"].concat()).expect("valid");
        assert!(here[1].launch.is_empty());
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_the_host() {
        let client = |more: &str| [SERVER, "[[host]]\nname = 'b'\n", more].concat();
        for (text, said) in [
            (String::new(), "one host the role server: there are 0"),
            (SERVER.to_owned(), "give a host the role client"),
            ([SERVER, CLIENT, &SERVER.replace("'a'", "'c'")].concat(), "there are 2"),
            ([SERVER, CLIENT, CLIENT].concat(), "host 'b': there are two of this name"),
            ([&SERVER.replace("'a'", "'a b'"), CLIENT].concat(), "host 'a b': name: use letters"),
            (
                [&SERVER.replace("address = '10.77.0.1'\n", ""), CLIENT].concat(),
                "host 'a': address: say where",
            ),
            ([&SERVER.replace("10.77.0.1", "0.0.0.0"), CLIENT].concat(), "0.0.0.0 is no address"),
            (client("role = 'client'\naddress = '10.77.0.2'\n"), "has no effect on a client"),
            (client("role = 'judge'\n"), "line 8: unknown variant `judge`"),
            (client("role = 'client'\nport = 1\n"), "unknown field `port`"),
        ] {
            let refusal = parse(&text).expect_err(said);
            assert!(refusal.contains(said) && !refusal.contains('\n'), "{said}: {refusal}");
        }
    }
}
