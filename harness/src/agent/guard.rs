//! The guard of an outside server: a process between an agent and a command we know nothing of.
//!
//! A command may start processes of its own, and they would survive whoever is killed that started it. The
//! guard adopts them all (`PR_SET_CHILD_SUBREAPER`) and kills them when its stdin ends, which happens
//! however that one ends, or when the command itself is gone. Signals go on to the command.

use super::spawn::die_with_parent;
use crate::host::usage::descendants;
use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

/// Runs `command` until it ends, or until stdin does.
///
/// # Errors
/// The command cannot be started.
pub fn run(command: &[String]) -> Result<ExitCode> {
    let [program, arguments @ ..] = command else { bail!("no command was given") };
    set_child_subreaper(true)?;
    // Before the child exists, so that its end cannot be missed.
    let mut signals = Signals::new([SIGCHLD, SIGINT, SIGTERM])?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    die_with_parent(&mut command);
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    thread::spawn(|| {
        // Nothing is ever written to it: it only ends.
        _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        kill_descendants();
        std::process::exit(1);
    });
    for signal in signals.forever() {
        if signal != SIGCHLD {
            _ = kill(pid, Signal::try_from(signal)?);
        }
        if let Some(status) = child.try_wait()? {
            kill_descendants();
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        reap_orphans(pid);
    }
    bail!("the signals ended")
}

/// Kills every process below this one, again until none is left: a fork may race with the list.
fn kill_descendants() {
    let own = nix::unistd::getpid().as_raw();
    loop {
        let pids = descendants(own);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status.pid().is_some()) {}
        thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Reaps adopted processes that have ended, but never `child`, whose status is asked for elsewhere.
fn reap_orphans(child: Pid) {
    for pid in descendants(nix::unistd::getpid().as_raw()) {
        let pid = Pid::from_raw(pid);
        if pid != child {
            _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}
