//! Starting an agent behind a launcher: `ssh bench-1`, `srun -w n1`, `ip netns exec srv`. All that has to be there is a
//! shell: the harness is copied through the pipe where it is missing.

use super::link::Link;
use super::spawn::{Lifeline, Proc, describe, with_last_lines};
use crate::host::machine::sha256;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdout, Command};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// How long a launcher may take until a shell answers.
const LIMIT: Duration = Duration::from_secs(60);
/// What the line of the shell begins with that says what is there: a login may print lines of its own before.
const MARK: &str = "harness-host";

/// What a shell has to do: say which machine it is on and whether the harness is there, take it if not, become its
/// agent. One line, since a shell may read further than it needs. Hosts may share the folder: what another one has put
/// there meanwhile stays, since it may be running.
fn script(name: &str, size: usize) -> String {
    format!(
        "set -e; d=\"${{XDG_CACHE_HOME:-$HOME/.cache}}/harness\"; p=\"$d/{name}\"; m=$(uname -m); \
         if [ -x \"$p\" ]; then echo \"{MARK} $m have\"; else echo \"{MARK} $m need\"; mkdir -p \"$d\"; \
         n=\"$p.$(uname -n).$$\"; trap 'rm -f \"$n\"' EXIT; head -c {size} >\"$n\"; \
         [ \"$(wc -c <\"$n\")\" -eq {size} ]; chmod 755 \"$n\"; \
         ln \"$n\" \"$p\" 2>/dev/null || [ -x \"$p\" ] || mv \"$n\" \"$p\"; rm -f \"$n\"; trap - EXIT; fi; \
         exec \"$p\" agent --lease\n"
    )
}

/// Starts an agent behind `launch`.
///
/// # Errors
/// In words: nothing answers, the machine is of another architecture, or the harness cannot be put there.
pub(super) fn behind(launch: &[String]) -> Result<Link, String> {
    let (first, rest) = launch.split_first().ok_or("no launcher was given")?;
    let program = std::env::current_exe().map_err(|error| format!("cannot find the harness: {error}"))?;
    let hash = sha256(&program).ok_or("cannot read the harness")?;
    let bytes = fs::read(&program).map_err(|error| format!("cannot read the harness: {error}"))?;
    let mut command = Command::new(first);
    // Nobody is there to type a password.
    command.args(rest).arg("sh").env("SSH_ASKPASS_REQUIRE", "never");
    let mut proc =
        Proc::spawn(&mut command, Lifeline::Session, None).map_err(|error| format!("{error:#}"))?;
    let mut stdin = proc.take_stdin().ok_or("the launcher has no stdin")?;
    let stdout = proc.take_stdout().ok_or("the launcher has no stdout")?;
    // A launcher that has ended is noticed when its line does not come.
    _ = stdin.write_all(script(&format!("harness-{}", &hash[..16]), bytes.len()).as_bytes());
    let Some((reader, words)) = answer(stdout) else { return Err(silence(proc)) };
    let [machine, state] = &words[..] else { return Err(format!("its shell said {}", words.join(" "))) };
    let own = std::env::consts::ARCH;
    if machine != own {
        return Err(format!(
            "it is {machine} and this machine is {own}: build the harness there and run it from there"
        ));
    }
    if state == "need" {
        // As above.
        _ = stdin.write_all(&bytes).and_then(|()| stdin.flush());
    }
    Link::to_reader(proc, reader, stdin, true)
}

/// What the shell says is there, after what a login may print; `None` if it says nothing.
fn answer(stdout: ChildStdout) -> Option<(BufReader<ChildStdout>, Vec<String>)> {
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some(words) = line.trim().strip_prefix(MARK) {
                let words = words.split_whitespace().map(str::to_owned).collect();
                // Nobody waits any more if it took too long.
                _ = tell.send((reader, words));
                return;
            }
            line.clear();
        }
    });
    told.recv_timeout(LIMIT).ok()
}

/// Why nothing answered.
fn silence(mut proc: Proc) -> String {
    let deadline = Instant::now() + Duration::from_secs(2);
    while proc.exited().is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let what = match proc.exited() {
        Some(status) => format!("its launcher ended: {}", describe(status)),
        None => format!("its launcher said nothing for {} s", LIMIT.as_secs()),
    };
    proc.kill();
    with_last_lines(&what, &mut proc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    /// Gives the script to a shell, and then `input`. Returns what it says, and what is in the cache afterwards.
    fn told(cache: &std::path::Path, size: usize, input: &[u8]) -> (String, Vec<String>) {
        let mut shell = Command::new("sh");
        shell.env("XDG_CACHE_HOME", cache).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().expect("sh");
        let mut stdin = shell.stdin.take().expect("piped");
        stdin.write_all(script("harness-0123", size).as_bytes()).expect("it reads");
        let mut reader = BufReader::new(shell.stdout.take().expect("piped"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("it answers");
        _ = stdin.write_all(input);
        drop(stdin);
        for more in reader.lines().map_while(Result::ok) {
            line += &more;
        }
        shell.wait().expect("ours");
        let names = fs::read_dir(cache.join("harness")).into_iter().flatten().flatten();
        (line, names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn a_shell_takes_the_program_once_and_becomes_its_agent() {
        let cache = tempfile::tempdir().expect("a folder");
        let program = b"#!/bin/sh\necho \"I am $1 $2\"\n";
        for state in ["need", "have"] {
            let (said, kept) = told(cache.path(), program.len(), if state == "need" { program } else { b"" });
            assert!(said.starts_with(MARK) && said.contains(state), "{said}");
            assert!(said.ends_with("I am agent --lease"), "{said}");
            assert_eq!(kept, ["harness-0123"]);
        }
    }

    #[test]
    fn a_program_that_was_put_there_meanwhile_stays() {
        let cache = tempfile::tempdir().expect("a folder");
        let path = cache.path().join("harness/harness-0123");
        let put = format!("(echo '#!/bin/sh'; echo 'echo first') >{0}; chmod 755 {0}; ", path.display());
        // The first agent is as far as that when the second one's shell takes its copy.
        let script = script("harness-0123", 10).replace("chmod 755 \"$n\"", &(put + "chmod 755 \"$n\""));
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("XDG_CACHE_HOME", cache.path()).stdin(Stdio::piped());
        let mut shell = shell.stdout(Stdio::piped()).spawn().expect("sh");
        shell.stdin.take().expect("piped").write_all(b"0123456789").expect("it reads");
        let output = shell.wait_with_output().expect("ours");
        assert!(String::from_utf8_lossy(&output.stdout).ends_with("need\nfirst\n"), "{output:?}");
        assert_eq!(fs::read_dir(cache.path().join("harness")).expect("a folder").count(), 1);
    }

    #[test]
    fn half_a_program_is_not_kept() {
        let cache = tempfile::tempdir().expect("a folder");
        let (said, kept) = told(cache.path(), 1000, b"#!/bin/sh\necho never\n");
        assert!(said.contains("need") && !said.contains("never"), "{said}");
        assert_eq!(kept, Vec::<String>::new());
    }

    #[test]
    fn a_launcher_that_fails_tells_its_last_lines() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let refused = words(&["sh", "-c", "echo 'Permission denied (publickey).' >&2; exit 255"]);
        let problem = behind(&refused).expect_err("it ends");
        assert!(problem.contains("exit status 255") && problem.contains("Permission denied"), "{problem}");
        assert!(behind(&words(&["/nonexistent/ssh"])).expect_err("not there").contains("cannot start"));
        let elsewhere = words(&["sh", "-c", "echo welcome; echo 'harness-host vax have'; cat >/dev/null"]);
        let problem = behind(&elsewhere).expect_err("another machine");
        assert!(problem.starts_with("it is vax and this machine is "), "{problem}");
    }
}
