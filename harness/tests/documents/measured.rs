//! What stands between the marks of a document is what the command in its mark makes now, and so are the pictures.

use harness::experiment::root;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A part between marks: the command that made it, and the document as it is.
struct Part {
    document: PathBuf,
    command: String,
    text: String,
}

fn documents(root: &Path) -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/experiments", "docs/reports"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).expect("a folder"));
    let paths = files.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    paths.sort();
    paths
}

fn parts(document: &Path) -> Vec<Part> {
    let text = fs::read_to_string(document).expect("a document");
    let begun = text.split("<!-- measured").skip(1).filter_map(|rest| rest.split_once(" -->"));
    let commands = begun.filter_map(|(mark, _)| mark.split_once("harness ").map(|(_, command)| command));
    let part = |command: &str| Part {
        document: document.to_owned(),
        command: command.to_owned(),
        text: text.clone(),
    };
    commands.map(part).collect()
}

#[test]
fn what_is_measured_is_not_stale() {
    let root = root::find().expect("a clone");
    let all: Vec<Part> = documents(&root).iter().flat_map(|document| parts(document)).collect();
    assert!(all.len() >= 7, "five pages, and the findings and the table of README.md");
    let folder = tempfile::tempdir().expect("a folder");
    for Part { document, command, text } in all {
        let name = document.strip_prefix(&root).expect("in the clone").to_str().expect("UTF-8");
        let copy = folder.path().join("page.md");
        fs::write(&copy, &text).expect("written");
        let copy = copy.to_str().expect("UTF-8");
        // What else it writes is not asked for again.
        let mut words: Vec<&str> = command.split(' ').collect();
        words.retain(|word| *word != "--rewrite");
        if let Some(place) = words.iter().position(|word| *word == "--picture") {
            words.drain(place..place + 2);
        }
        let words: Vec<String> = words.iter().map(|word| word.replace(name, copy)).collect();
        let done = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(&words)
            .current_dir(&root)
            .output()
            .expect("it starts");
        assert!(
            done.status.success(),
            "{name}: harness {command}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        let made = fs::read_to_string(copy).expect("readable");
        let made = made.replace(&words.join(" "), &command);
        let line = made.lines().zip(text.lines()).find(|(made, there)| made != there);
        assert!(
            made == text,
            "{name} is stale: run harness {command} (or scripts/readme.sh). The first line that differs: {line:?}"
        );
    }
}

#[test]
fn the_pictures_of_the_readme_are_not_stale() {
    let root = root::find().expect("a clone");
    let script = fs::read_to_string(root.join("scripts/readme.sh")).expect("readable");
    let set = |name: &str| {
        let set = script.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        set.expect("the script names its runs").to_owned()
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (name, flag) in [("full", "map"), ("count", "instructions")] {
        let stem = folder.path().join(flag);
        let done = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["report", &set(name), "--server", &set("servers"), &format!("--{flag}")])
            .arg(&stem)
            .current_dir(&root)
            .status()
            .expect("it starts");
        assert!(done.success(), "{flag}");
        for theme in ["light", "dark"] {
            let file = format!("{flag}-{theme}.svg");
            let read = |path: PathBuf| fs::read_to_string(path).expect("a picture");
            let is_same = read(folder.path().join(&file)) == read(root.join("docs/pictures").join(&file));
            assert!(is_same, "docs/pictures/{file} is stale: run scripts/readme.sh");
        }
    }
}
