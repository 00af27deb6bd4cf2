//! Tests that imports go one way: a room imports only the rooms below it, and no file imports, over however
//! many others, itself.
//!
//! Reads the source text: `use` declarations, and paths that begin with `crate`, `super` or a child module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms, from the top. A room may import the rooms below its own line.
const ROOMS: [&[&str]; 12] = [
    &["cli"],
    &["selftest"],
    &["count"],
    &["run"],
    &["report"],
    &["analysis"],
    &["record"],
    &["judge"],
    &["agent"],
    &["experiment"],
    &["verify", "host"],
    &["exit"],
];

/// The packages whose files are checked for circles, below `harness/`.
const SOURCES: [&str; 3] = ["src", "load/src", "stats/src"];

/// The modules of a package by their paths, each with its text; the root's path is empty.
type Modules = BTreeMap<Vec<String>, String>;

/// Reads all modules below `folder`.
fn modules(folder: &Path) -> Modules {
    let mut found = Modules::new();
    collect(folder, &[], &mut found);
    found
}

fn collect(folder: &Path, within: &[String], found: &mut Modules) {
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
        let child = [within, std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            collect(&path, &child, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            let module = if matches!(name.as_str(), "mod" | "lib") { within.to_vec() } else { child };
            found.insert(module, without_comments(&fs::read_to_string(&path).expect("readable")));
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The text up to the file's own tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Every path in a text, with the braces of `use` resolved: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut outer: Vec<Vec<String>> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !word.is_empty() {
            rest = &rest[word.len()..];
            path.push(word);
            match rest.strip_prefix("::") {
                Some(more) if more.starts_with(|c: char| c.is_alphabetic() || c == '_') => rest = more,
                Some(more) if more.starts_with('{') => {
                    rest = &more[1..];
                    outer.push(std::mem::take(&mut path));
                }
                _ => paths.push([outer.concat(), std::mem::take(&mut path)].concat()),
            }
            continue;
        }
        match next {
            '{' => outer.push(Vec::new()),
            '}' => _ = outer.pop(),
            _ => {}
        }
        rest = &rest[next.len_utf8()..];
    }
    paths
}

/// The module that a path in `module` leads to; `None` if the path leads out of the package.
fn target(modules: &Modules, module: &[String], path: &[String]) -> Option<Vec<String>> {
    let supers = path.iter().take_while(|word| *word == "super").count();
    let full = match path[0].as_str() {
        "crate" => path[1..].to_vec(),
        // `pub(super)` names no module that is imported.
        "super" if supers == path.len() => return None,
        "super" => [&module[..module.len().checked_sub(supers)?], &path[supers..]].concat(),
        first if modules.contains_key(&[module, &[first.to_owned()]].concat()) && path.len() > 1 => {
            [module, path].concat()
        }
        _ => return None,
    };
    (0..=full.len()).rev().map(|length| full[..length].to_vec()).find(|found| modules.contains_key(found))
}

/// What each module imports, itself excluded.
fn imports(modules: &Modules, text: fn(&str) -> &str) -> BTreeMap<&[String], BTreeSet<Vec<String>>> {
    let of = |(module, whole): (&'_ Vec<String>, &String)| -> BTreeSet<Vec<String>> {
        let paths = paths(text(whole));
        paths
            .iter()
            .filter_map(|path| target(modules, module, path))
            .filter(|found| found != module)
            .collect()
    };
    modules.iter().map(|entry| (entry.0.as_slice(), of(entry))).collect()
}

/// The line of a room in [`ROOMS`].
fn height(room: &str) -> usize {
    let found = ROOMS.iter().position(|line| line.contains(&room));
    found.unwrap_or_else(|| panic!("{room} is in no line of ROOMS"))
}

/// The imports of a room that is not below, as `cli::args imports selftest`.
fn upward(modules: &Modules) -> Vec<String> {
    let mut found = Vec::new();
    for (module, imported) in imports(modules, |text| text) {
        let Some(room) = module.first().filter(|room| *room != "layering") else { continue };
        for target in imported.iter().filter_map(|target| target.first()) {
            if target != room && height(target) <= height(room) {
                found.push(format!("{} imports {target}", module.join("::")));
            }
        }
    }
    found
}

/// A circle of files, if there is one: `a, b, a`.
fn circle(modules: &Modules) -> Option<String> {
    let mut imports = imports(modules, without_tests);
    imports.retain(|module, _| module.last().is_none_or(|name| name != "tests" && name != "layering"));
    // What imports nothing that is left is in no circle.
    loop {
        let left: BTreeSet<Vec<String>> = imports.keys().map(|module| module.to_vec()).collect();
        imports.values_mut().for_each(|imported| imported.retain(|target| left.contains(target)));
        imports.retain(|_, imported| !imported.is_empty());
        if imports.len() == left.len() {
            break;
        }
    }
    let mut seen: Vec<&[String]> = vec![imports.keys().next()?];
    loop {
        let next = imports[seen[seen.len() - 1]].first()?;
        let again = seen.iter().position(|module| module == next);
        seen.push(imports.get_key_value(next.as_slice())?.0);
        if let Some(start) = again {
            let names: Vec<String> = seen[start..].iter().map(|module| module.join("::")).collect();
            return Some(names.join(", "));
        }
    }
}

fn source(folder: &str) -> Modules {
    let root = crate::experiment::root::find().expect("a clone");
    modules(&root.join("harness").join(folder))
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    let modules = source("src");
    assert_eq!(upward(&modules), Vec::<String>::new());
    for room in modules.keys().filter_map(|module| module.first()).filter(|room| *room != "layering") {
        height(room);
    }
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    for folder in SOURCES {
        assert_eq!(circle(&source(folder)), None, "{folder}");
    }
}

#[test]
fn upward_imports_and_circles_are_found() {
    let of = |files: &[(&str, &str)]| -> Modules {
        let path = |name: &str| name.split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect();
        files.iter().map(|(name, text)| (path(name), (*text).to_owned())).collect()
    };
    let up =
        of(&[("judge::gates", "use crate::{exit::usage, report::figures};"), ("report", ""), ("exit", "")]);
    assert_eq!(upward(&up), ["judge::gates imports report"]);
    let beside = of(&[("verify", "fn f() { crate::host::g() }"), ("host", "")]);
    assert_eq!(upward(&beside), ["verify imports host"]);
    let down = of(&[("cli", "use crate::run;"), ("run", "")]);
    assert_eq!(upward(&down), Vec::<String>::new());
    assert_eq!(circle(&down), None);
    let files = [("a::b", "use super::c::{D, E};"), ("a::c", "use crate::a::B;"), ("a", "pub use b::B;")];
    assert!(circle(&of(&files)).is_some_and(|circle| circle.starts_with("a, a::b, a::c, a")));
    let tested = [
        ("a", "use crate::b;\n#[cfg(test)]\nmod tests {\n"),
        ("b", "#[cfg(test)]\nmod tests {\nuse crate::a;"),
    ];
    assert_eq!(circle(&of(&tested)), None);
}
