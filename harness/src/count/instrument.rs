//! The instruments: valgrind's callgrind around a server, and a counter of system calls beside one.

use crate::agent::spawn::{Lifeline, Proc};
use crate::count::callgrind::Profile;
use crate::host::usage;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Valgrind counts every iteration of `rep stosb` and `rep movsb` as an instruction, so that a memset of 8 KiB would
/// be 8192 of them: with these libc does not use them.
const TUNABLES: &str = "GLIBC_TUNABLES=glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000";
/// How long a server may take to fall asleep after its last answer. One that never does is counted as it is.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How long a server has to have been asleep.
const SETTLED: Duration = Duration::from_millis(3);
/// How long an instrument may take to begin or to end.
const LIMIT: Duration = Duration::from_secs(20);

/// What is missing on this machine to count with, in one line; `None` if nothing is.
pub fn missing() -> Option<String> {
    let needs = [("valgrind", has_valgrind()), ("strace", SyscallCounter::find().is_some())];
    let missing: Vec<&str> = needs.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
    let it = if missing.len() > 1 { "them" } else { "it" };
    let (names, words) = (missing.join(" and "), missing.join(" "));
    (!missing.is_empty()).then(|| format!("count needs {names}: install {it}, as in apt-get install {words}"))
}

/// Returns true if valgrind is installed.
pub fn has_valgrind() -> bool {
    has("valgrind") && has("vgdb")
}

/// Returns true if the program can be started, whatever it makes of `--version`.
fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// The command line that a server is put behind to be counted, with callgrind's files in `folder`.
pub fn valgrind(folder: &Path) -> Vec<String> {
    let folder = folder.display();
    // Threads get the one CPU in turn; strings in full make the files easy to read.
    let words = [
        "env",
        TUNABLES,
        "valgrind",
        "--tool=callgrind",
        "--fair-sched=try",
        "--trace-children=yes",
        "--compress-strings=no",
        "--compress-pos=no",
    ];
    let mut words = words.map(str::to_owned).to_vec();
    words.push(format!("--callgrind-out-file={folder}/profile.%p"));
    words.push(format!("--vgdb-prefix={folder}/vgdb"));
    words
}

/// Returns what callgrind has counted in the processes `pids` since it was last asked.
///
/// # Errors
/// In words: valgrind does not answer.
pub fn counted(folder: &Path, pids: &[i32]) -> Result<Profile, String> {
    let mut profile = Profile::default();
    for pid in pids {
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(format!("--vgdb-prefix={}/vgdb", folder.display()));
        // It wakes a server that waits in the kernel after so many milliseconds.
        vgdb.args(["--max-invoke-ms=5", &format!("--pid={pid}"), "dump"]);
        let mut vgdb = Proc::spawn(&mut vgdb, Lifeline::ParentDeath, None).map_err(|e| format!("{e:#}"))?;
        let status = vgdb.wait(LIMIT);
        if !status.is_some_and(|status| status.success()) {
            return Err(format!("valgrind does not say what it counted: {}", vgdb.last_lines()));
        }
        let prefix = format!("profile.{pid}.");
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                let text = fs::read(entry.path()).map_err(|error| error.to_string())?;
                profile.add(&String::from_utf8_lossy(&text))?;
                _ = fs::remove_file(entry.path());
            }
        }
    }
    Ok(profile)
}

/// Waits until the processes `pids` have done all they had to, so that nothing of it falls behind an edge.
pub fn settle(pids: &[i32]) {
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        let before = usage::cpu_time(pids);
        thread::sleep(SETTLED);
        let is_idle = usage::are_asleep(pids) && usage::cpu_time(pids) == before;
        if is_idle || Instant::now() > deadline {
            return;
        }
    }
}

/// A program that counts the system calls of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyscallCounter {
    /// `perf stat`, which costs a server next to nothing.
    Perf,
    /// `strace -f -c`, where the kernel does not let perf.
    Strace,
}

impl SyscallCounter {
    /// The better one of those that work on this machine.
    pub fn find() -> Option<SyscallCounter> {
        let mut perf = Command::new("perf");
        perf.args(["stat", "-e", "raw_syscalls:sys_enter", "true"]);
        let works = perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match works {
            Ok(status) if status.success() => Some(SyscallCounter::Perf),
            _ => has("strace").then_some(SyscallCounter::Strace),
        }
    }

    /// Its name in `counts.csv`.
    pub fn name(self) -> &'static str {
        match self {
            SyscallCounter::Perf => "perf",
            SyscallCounter::Strace => "strace",
        }
    }

    /// Returns the number of system calls that the processes `pids` make while `work` lasts, and until they have
    /// settled.
    ///
    /// # Errors
    /// In words: those of `work`, or the counter's.
    pub fn count(
        self,
        folder: &Path,
        pids: &[i32],
        work: impl FnOnce() -> Result<(), String>,
    ) -> Result<f64, String> {
        let path = folder.join("syscalls");
        let list = pids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(self.name());
        match self {
            // It counts for as long as `cat` runs, which is until its stdin ends.
            SyscallCounter::Perf => command
                .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &list, "-o"])
                .arg(&path)
                .args(["--", "cat"]),
            SyscallCounter::Strace => command.args(["-f", "-c", "-p", &list, "-o"]).arg(&path),
        };
        let mut proc =
            Proc::spawn(&mut command, Lifeline::ParentDeath, None).map_err(|e| format!("{e:#}"))?;
        self.begun(&mut proc)?;
        let done = work();
        settle(pids);
        drop(proc.take_stdin());
        if self == SyscallCounter::Strace {
            proc.signal(Signal::SIGINT);
        }
        if proc.wait(LIMIT).is_none() {
            return Err(format!("{} did not end", self.name()));
        }
        done?;
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{} wrote nothing: {error}", self.name()))?;
        self.read(&text).ok_or_else(|| format!("{} wrote no count: {}", self.name(), proc.last_lines()))
    }

    /// Waits until it counts.
    fn begun(self, proc: &mut Proc) -> Result<(), String> {
        use std::io::Write as _;
        match self {
            SyscallCounter::Perf => {
                // Perf starts `cat` when its counters are open, and `cat` repeats what it is told.
                let (mut stdin, stdout) = (proc.take_stdin(), proc.take_stdout());
                let told = stdin.as_mut().is_some_and(|stdin| stdin.write_all(b"\n").is_ok());
                let mut line = String::new();
                let heard =
                    stdout.is_some_and(|out| BufReader::new(out).read_line(&mut line).is_ok_and(|n| n > 0));
                proc.put_stdin(stdin);
                if told && heard { Ok(()) } else { Err(format!("perf did not begin: {}", proc.last_lines())) }
            }
            SyscallCounter::Strace => {
                let deadline = Instant::now() + LIMIT;
                while !proc.last_lines().contains("attached") {
                    if proc.exited().is_some() || Instant::now() > deadline {
                        return Err(format!("strace did not begin: {}", proc.last_lines()));
                    }
                    thread::sleep(SETTLED);
                }
                Ok(())
            }
        }
    }

    /// The number in what it wrote.
    fn read(self, text: &str) -> Option<f64> {
        match self {
            SyscallCounter::Perf => {
                let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
                match line.split(',').next()? {
                    // Nobody ran.
                    "<not counted>" => Some(0.0),
                    number => number.parse().ok(),
                }
            }
            SyscallCounter::Strace => {
                let total = text.lines().find(|line| line.ends_with(" total"))?;
                total.split_whitespace().nth(3)?.parse().ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_counters_write_is_read() {
        let perf = |text: &str| SyscallCounter::Perf.read(text);
        assert_eq!(perf("# started\n\n29,,raw_syscalls:sys_enter,1001310,100.00,,\n"), Some(29.0));
        assert_eq!(perf("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), Some(0.0));
        assert_eq!(perf("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        let total = "100.00    1.100575           3    314752     17490 total\n";
        assert_eq!(SyscallCounter::Strace.read(total), Some(314_752.0));
        assert_eq!(SyscallCounter::Strace.read(""), None);
    }

    #[test]
    fn a_process_that_waits_has_settled() {
        let mut cat = Command::new("cat");
        let mut cat = Proc::spawn(&mut cat, Lifeline::ParentDeath, None).expect("cat");
        settle(&[cat.pid()]);
        assert!(usage::are_asleep(&[cat.pid()]));
        cat.kill();
        // This thread runs.
        assert!(!usage::are_asleep(&[nix::unistd::getpid().as_raw()]));
    }
}
