//! `runtime.toml`: one that is read gives servers that can be named, asked and verified.

#![no_main]

use harness::experiment::manifest::servers;
use harness::verify::{Level, is_name};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let path = Path::new("/nowhere/fuzzed/runtime.toml");
    let Ok(servers) = servers(text, path) else { return };
    assert!(!servers.is_empty());
    for server in &servers {
        assert!(is_name(&server.name), "{}", server.name);
        assert!(!server.has.is_empty() || !server.routes.is_empty(), "{} has a route", server.name);
        for route in server.has.iter().map(|name| format!("/{name}")) {
            // What a route is called is not yet a request for it.
            _ = server.has_target(&route);
        }
        for route in &server.routes {
            assert!(server.declared(&route.name).is_some() && is_name(&route.name), "{}", route.name);
            _ = route.may_be(text.as_bytes());
        }
        _ = server.verify_options(Level::Full);
        _ = server.missing();
    }
});
