//! What the tests of the whole program share: the fake server and its manifest.

use assert_cmd::Command;
use harness::experiment::server::Package;
use harness::record::directory::read_cells;
use harness::record::row::Row;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a manifest of one server, `fake`, and its ceiling, and a place for results.
pub(crate) struct Fake {
    pub(crate) folder: TempDir,
}

/// The program in `examples/`, which cargo builds beside the tests.
pub(crate) fn fake_server() -> PathBuf {
    let tests = std::env::current_exe().expect("this program");
    let target = tests.parent().and_then(Path::parent).expect("target/…/deps/test");
    let program = target.join("examples/fake-server");
    assert!(program.exists(), "{} is not built", program.display());
    program
}

/// A ceiling in a manifest of the fake server.
pub(crate) const CEILING: &str = "[[server]]\nname = \"fake-ceiling\"\nhas = [\"*\"]\nrole = \"ceiling\"\nargs = [\"--fault\", \"none\"]\n";

impl Fake {
    /// A server that speaks the contract's protocol, started with these arguments.
    pub(crate) fn new(arguments: &[&str]) -> Fake {
        Fake::with("protocol = \"contract\"\nstart_limit_s = 5", arguments)
    }

    /// A server with these lines in its manifest, started with these arguments. Its ceiling is without
    /// its fault, and spares the tests to build the project's.
    pub(crate) fn with(lines: &str, arguments: &[&str]) -> Fake {
        let folder = tempfile::tempdir().expect("a folder");
        let program = fake_server();
        let mut words = vec![program.to_str().expect("UTF-8")];
        words.extend(arguments);
        let manifest =
            format!("command = {words:?}\n{lines}\n[[server]]\nname = \"fake\"\nhas = [\"*\"]\n{CEILING}");
        std::fs::write(folder.path().join("runtime.toml"), manifest).expect("written");
        Fake { folder }
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.path().join("runtime.toml")
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A run against the fake server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Command {
        let mut command = harness();
        command.args(["--server", "fake", "--manifest"]).arg(self.manifest()).arg("--out").arg(self.out());
        command.args(arguments);
        command
    }

    /// What `run.json` says.
    pub(crate) fn record(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.out().join("run.json")).expect("there");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Leaves the run as if it had been killed with no more than this in `cells.csv`.
    pub(crate) fn cut(&self, cells: &[u8]) {
        std::fs::write(self.out().join("cells.csv"), cells).expect("written");
        let mut record = self.record();
        record["ended_at"] = serde_json::Value::Null;
        std::fs::write(self.out().join("run.json"), record.to_string()).expect("written");
    }

    /// A run of one cell over the path on which the fake server shows its fault.
    pub(crate) fn run_faulty(&self, strategy: &str, arguments: &[&str]) -> Command {
        let mut command = self.run(&["--blocks", "1", "--route", "wait?ms=7", "--strategy", strategy]);
        command.args(["--requests", "20"]).args(arguments);
        if !arguments.contains(&"--interfere") {
            command.args(["--processes", "1"]);
        }
        command
    }

    /// The rows of the contestants.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.all_rows().into_iter().filter(|row| row.role == "contestant").collect()
    }

    /// All rows.
    pub(crate) fn all_rows(&self) -> Vec<Row> {
        read_cells(&self.out()).expect("a valid cells.csv")
    }
}

/// Two contestants of one program.
pub(crate) fn two() -> Fake {
    let fake = Fake::new(&[]);
    let program = fake_server();
    let servers = "[[server]]\nname = \"one\"\nhas = [\"*\"]\n[[server]]\nname = \"two\"\nhas = [\"*\"]\n";
    let manifest = format!("command = [{program:?}]\nprotocol = \"contract\"\n{servers}{CEILING}");
    std::fs::write(fake.manifest(), manifest).expect("written");
    fake
}

/// A server of the workspace, built as for a run.
pub(crate) fn built(package: &str) -> PathBuf {
    let root = harness::experiment::root::find().expect("a clone");
    let harness = Path::new(env!("CARGO_BIN_EXE_harness"));
    harness::run::build::server_by(harness, &root, &Package::plain(package)).expect("it builds").program
}

/// The program under test.
pub(crate) fn harness() -> Command {
    let mut command = Command::cargo_bin("harness").expect("built");
    command.timeout(std::time::Duration::from_secs(120));
    command
}

/// Whether a process is still there and not just waiting to be reaped.
pub(crate) fn is_running(pid: i32) -> bool {
    procfs::process::Process::new(pid)
        .and_then(|process| process.stat())
        .is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Waits for something that another process does, for a generous time.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
