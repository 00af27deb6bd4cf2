//! Catalogues: whom a command line means.

use super::*;
use crate::experiment::manifest;
use crate::experiment::server::Role;
use std::fs;

#[test]
fn the_project_s_own_manifests_are_valid() {
    let root = crate::experiment::root::find().expect("a clone");
    let catalog = Catalog::read(Some(&root), &[]).expect("valid manifests");
    assert!(catalog.find("smol").is_ok());
    assert!(catalog.find("nosuch").is_err());
}

#[test]
fn several_manifests_are_read_and_names_are_given_once() {
    let root = crate::experiment::root::find().expect("a clone");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &str, name: &str| {
        let path = folder.path().join(file);
        let text = format!("command = ['x', '{{port}}']\n[[server]]\nname = '{name}'\nhas = ['wait']");
        fs::write(&path, text).expect("written");
        path
    };
    let (before, after) = (write("before.toml", "before"), write("after.toml", "after"));
    let catalog = Catalog::read(Some(&root), &[before.clone(), after]).expect("valid");
    for name in ["before", "after", "smol"] {
        assert!(catalog.find(name).is_ok(), "{name}");
    }
    assert!(catalog.find("before").expect("there").manifest.ends_with("before.toml"));
    let again = write("again.toml", "before");
    let problem = Catalog::read(Some(&root), &[before, again]).expect_err("twice").to_string();
    assert!(problem.contains("again.toml: there is a server 'before' already, in /"), "{problem}");
    assert!(problem.ends_with("before.toml"), "{problem}");
}

#[test]
fn a_command_line_names_servers_families_or_everybody() {
    let text = "package = 'a'\n[[server]]\nname = 'a-one'\n[[server]]\nname = 'a-two'\nonly_named = true\n\
                [[server]]\nname = 'b'\n[[server]]\nname = 'known'\nrole = 'oracle'";
    let absent = "command = ['x', '{port}']\nneeds = ['y']\n[[server]]\nname = 'a-absent'\nhas = ['*']";
    let servers = [text, absent]
        .map(|text| manifest::servers(text, Path::new("/nowhere/runtime.toml")).expect("valid"))
        .concat();
    let catalog = Catalog { servers, has_checkout: true };
    let choose = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        catalog.choose(&names, |server| server.role == Role::Contestant)
    };
    let chosen = |names: &[&str]| {
        let chosen = choose(names).expect("they are there");
        let names: Vec<String> = chosen.servers.into_iter().map(|server| server.name).collect();
        (names.join(" "), chosen.left_out.len())
    };
    assert_eq!(chosen(&[]), ("a-one b".into(), 1));
    assert_eq!(chosen(&["all"]), ("a-one a-two b".into(), 1));
    assert_eq!(chosen(&["b", "a-*", "b"]), ("b a-one a-two".into(), 1));
    assert_eq!(chosen(&["known"]), ("known".into(), 0));
    for (wrong, said) in
        [("a-absent", "is missing"), ("c*", "unknown server 'c*'"), ("a-onee", "did you mean a-one")]
    {
        let problem = choose(&[wrong]).expect_err(wrong).to_string();
        assert!(problem.contains(said), "{problem}");
    }
}
