//! The file of `--hosts`: one that is read has one server's host, which comes first, and a client's.

#![no_main]

use harness::experiment::hosts::{HostRole, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(hosts) = parse(text) else { return };
    assert!(hosts.len() > 1 && hosts[0].role == HostRole::Server && hosts[0].address.is_some());
    assert!(hosts[1..].iter().all(|host| host.role == HostRole::Client));
    fuzz::comes_back(&hosts);
});
