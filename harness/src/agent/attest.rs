//! Whether what ran was what was asked for: the kernel's word for it, read while the load's processes are
//! still there.

use super::program::ProgramFile;
use super::server::Server;
use super::sockets::{Listening, listening};
use crate::host::cpus::Cpus;
use crate::host::usage;
use serde::{Deserialize, Serialize};
use std::fs;

/// What was seen of a replicate's processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The CPUs that their threads may run on, all taken together.
    pub cpus: Cpus,
    /// What is not as it was asked for, in words.
    pub problems: Vec<String>,
}

/// Looks at a server that was started on the CPUs `asked`. Some microseconds a thread, and some a
/// connection.
pub fn server(server: &Server, asked: &Cpus) -> Seen {
    let pids = server.pids();
    let mut seen = affinity("the server", &pids, asked);
    if let Some(program) = server.program() {
        seen.problems.extend(pids.iter().filter_map(|pid| program_problem(*pid, program)));
    }
    // A server that has died is no stranger's doing, and is reported as such.
    if !pids.is_empty() && listening(server.addr.port(), || server.pids()) == Listening::Others {
        seen.problems.push(format!("another process listens on {} too", server.addr));
    }
    seen
}

/// Whether every thread of `pids` may run on CPUs of `asked` only, and on each of them some thread. A
/// server may well give each of its threads one of its CPUs.
pub fn affinity(who: &str, pids: &[i32], asked: &Cpus) -> Seen {
    // The sum of all threads tells both; a thread that ends meanwhile is no part of it.
    let threads = usage::thread_ids(pids).into_iter().filter_map(|(_, tid)| Cpus::of_thread(tid));
    let cpus = threads.fold(Cpus::default(), |sum, one| sum.with(&one));
    let wrong = !cpus.list().is_empty() && cpus != *asked;
    let problem = wrong.then(|| format!("{who} may run on CPU {cpus} and was given {asked}"));
    Seen { cpus, problems: problem.into_iter().collect() }
}

fn program_problem(pid: i32, asked: &ProgramFile) -> Option<String> {
    let run = ProgramFile::run_by(pid)?;
    (run != *asked).then(|| {
        let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        format!("process {pid} of the server runs another program than was started: {}", path.display())
    })
}

/// Whether a server that says it has `said` threads to run tasks can have them.
pub fn workers(said: Option<usize>, seen: Option<u64>) -> Option<String> {
    match (said, seen) {
        (Some(said), Some(seen)) if said as u64 > seen => {
            Some(format!("the server says that {said} threads run its tasks, and had {seen} at the most"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;
    use std::sync::mpsc::channel;

    fn own() -> [i32; 1] {
        [nix::unistd::getpid().as_raw()]
    }

    #[test]
    fn threads_outside_what_was_given_are_found() {
        let all = Cpus::allowed().expect("affinity");
        assert_eq!(affinity("it", &own(), &all), Seen { cpus: all.clone(), problems: Vec::new() });
        let fewer = Cpus::new(all.list().iter().skip(1).copied());
        let seen = affinity("it", &own(), &fewer);
        assert!(seen.problems[0].starts_with("it may run on CPU"), "{seen:?}");
        // CPUs that none of the threads uses are a problem too.
        let more = all.with(&Cpus::new([1000]));
        assert_eq!(affinity("it", &own(), &more).problems.len(), 1);
        // What has ended is judged elsewhere.
        assert_eq!(affinity("it", &[], &all), Seen::default());
    }

    #[test]
    fn threads_with_a_cpu_each_are_as_good_as_threads_on_all() {
        let all = Cpus::allowed().expect("affinity");
        let (stop, stopped) = channel::<()>();
        let (pinned, is_pinned) = channel();
        let one = Cpus::new(all.list().first().copied());
        let thread = std::thread::spawn(move || {
            one.pin_this_thread().expect("allowed");
            pinned.send(()).expect("awaited");
            _ = stopped.recv();
        });
        is_pinned.recv().expect("pinned");
        assert_eq!(affinity("it", &own(), &all).problems, Vec::<String>::new());
        drop(stop);
        thread.join().expect("ends");
    }

    #[test]
    fn another_program_is_found() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("a pid");
        let own_program = ProgramFile::of(&std::env::current_exe().expect("a path")).expect("there");
        let problem = program_problem(pid, &own_program).expect("not this program");
        assert!(problem.contains("runs another program"), "{problem}");
        assert_eq!(program_problem(own()[0], &own_program), None);
        child.kill().expect("ours");
        child.wait().expect("ours");
        assert!(ProgramFile::of(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn workers_that_nobody_has_seen_are_found() {
        assert!(workers(Some(4), Some(3)).expect("one is missing").contains("4 threads"));
        assert_eq!(workers(Some(2), Some(3)), None);
        assert_eq!((workers(None, Some(3)), workers(Some(2), None)), (None, None));
    }
}
