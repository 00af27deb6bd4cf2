//! The commands of the documents are run: what takes a moment always, the rest, block after block, where
//! `scripts/test_integration.sh` asks for it.

use super::commands::{Shown, documents, in_blocks};
use harness::experiment::root;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Commands that are not run, by their beginning, and why. `commands` checks that they are accepted.
const NOT_RUN: [(&str, &str); 12] = [
    ("apt-get ", "changes the machine"),
    ("cargo install ", "changes the machine"),
    ("cargo nextest ", "is a test, and would run this one"),
    ("cargo test ", "is a test, and would run this one"),
    ("sbatch ", "needs a cluster"),
    ("scripts/", "minutes to hours; .ci/run has a short form of each"),
    ("harness selftest", "eight minutes on a quiet machine, and tests/whole/selftest.rs runs it"),
    ("harness count       ", "ten minutes: every server and every route"),
    (
        "harness --server smol,tokio-multi --route fib/20 --strategy closed-loop --until",
        "goes on for minutes",
    ),
    ("harness --server smol@2.0.1,smol \\", "goes on for minutes"),
    ("harness count --server tokio-current@1.30", "half an hour: 25 releases"),
    ("harness --server smol@async-executor=path", "needs a patch"),
];

/// Commands that take a moment and need nothing.
const AT_ONCE: [&str; 4] = ["harness list", "harness report ", "harness completions ", "harness man"];

/// What a document's commands find: `harness` on the PATH as it is when installed, the checkout's servers, and runs of
/// one block. 3 says that something could not be told, which a short run may. A reader waits for the ready line of a
/// server in the background; the script waits until it listens, and ends it whatever happens.
const PRELUDE: &str = r#"
set -eum
trap 'for job in $(jobs -p); do kill -- "-$job" || true; done' EXIT
listens() { (exec 3<>"/dev/tcp/${1/://}") 2>/dev/null; }
export PATH="$PWD/bin:$PATH"
cargo() { (cd "$HARNESS_ROOT" && command cargo "$@"); }
harness() {
    if [ "$1" = --url ]; then
        local addr=${2#http://} tries=0
        until listens "${addr%%/*}"; do [ $((tries += 1)) -lt 600 ] && sleep 0.1; done
    fi
    case " $* " in
    " list "* | " serve "* | " verify "* | " report "* | " compare "* | " count "* | " merge "* | *" --blocks "*) set -- "$@" ;;
    *) set -- "$@" --blocks 1 ;;
    esac
    command harness "$@" || [ $? -eq 3 ]
}
"#;

/// A folder like a reader's: results and built servers are there, and what is written stays in it.
fn reader() -> TempDir {
    let (folder, root) = (tempfile::tempdir().expect("a folder"), root::find().expect("a clone"));
    let path = folder.path();
    for made in ["bin", "results", "tmp"] {
        fs::create_dir(path.join(made)).expect("new");
    }
    fs::copy(env!("CARGO_BIN_EXE_harness"), path.join("bin/harness")).expect("copied");
    for run in fs::read_dir(root.join("results")).expect("a folder").flatten() {
        symlink(run.path(), path.join("results").join(run.file_name())).expect("new");
    }
    for name in ["docs", "runtimes", "target"] {
        symlink(root.join(name), path.join(name)).expect("new");
    }
    folder
}

/// Runs commands as one script, in a folder of their own. Their `/tmp` is in that folder.
fn run(commands: &[Shown]) {
    let folder = reader();
    let mut script = PRELUDE.to_owned();
    for shown in commands {
        script += &format!("echo {:?} >&2\n{}\n", format!("== {}", shown.at), shown.text);
    }
    let tmp = format!("{}/", folder.path().join("tmp").display());
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script.replace("/tmp/", &tmp)).current_dir(folder.path());
    let output = bash.env("HARNESS_ROOT", root::find().expect("a clone")).output().expect("bash is there");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {told}", output.status);
}

/// Runs a document's blocks, in their order, but for what is not run.
fn run_blocks_of(document: &str) {
    let mut commands = in_blocks(Path::new(document));
    commands.retain(|shown| !shown.has_placeholder() && !is_not_run(shown));
    assert!(!commands.is_empty(), "{document} has commands");
    run(&commands);
}

fn is_not_run(shown: &Shown) -> bool {
    let serves_for_ever = shown.text.starts_with("harness serve ") && !shown.text.contains(" &");
    serves_for_ever || NOT_RUN.iter().any(|(beginning, _)| shown.text.starts_with(beginning))
}

#[test]
fn what_takes_a_moment_works() {
    let documents = documents();
    let all = documents
        .iter()
        .flat_map(|document| in_blocks(document).into_iter().chain(super::commands::in_text(document)));
    let at_once = |shown: &Shown| AT_ONCE.iter().any(|beginning| shown.text.starts_with(beginning));
    let mut commands: Vec<Shown> = all
        .filter(|shown| {
            at_once(shown)
                && !shown.text.contains("/tmp/")
                && !shown.has_placeholder()
                && !shown.is_name_alone()
        })
        .collect();
    commands.sort_by(|one, other| one.text.cmp(&other.text));
    commands.dedup_by(|one, other| one.text == other.text);
    assert!(!commands.is_empty());
    run(&commands);
}

#[test]
fn every_command_that_is_not_run_is_there() {
    let all: Vec<Shown> = documents().iter().flat_map(|document| in_blocks(document)).collect();
    for (beginning, why) in NOT_RUN {
        assert!(all.iter().any(|shown| shown.text.starts_with(beginning)), "{beginning}: {why}: take it off");
    }
}

#[test]
#[ignore = "minutes, and builds servers"]
fn the_blocks_of_the_readme_work() {
    run_blocks_of("README.md");
}

#[test]
#[ignore = "minutes, and builds servers"]
fn the_blocks_of_compare_work() {
    run_blocks_of("docs/compare.md");
}

#[test]
#[ignore = "half a minute, and builds servers"]
fn the_blocks_of_hosts_work() {
    run_blocks_of("docs/hosts.md");
}

#[test]
#[ignore = "a minute, and builds servers"]
fn the_blocks_of_experiments_work() {
    run_blocks_of("docs/experiments.md");
}

#[test]
#[ignore = "minutes, and needs valgrind"]
fn the_blocks_of_counting_work() {
    run_blocks_of("docs/counting.md");
}
