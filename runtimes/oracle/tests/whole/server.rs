//! A running oracle, and a client of few words.

use contract::ready::ReadyLine;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The program, as cargo built it for these tests.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rt-oracle"))
}

/// A process that ends with the test.
pub(crate) struct Oracle {
    child: Child,
    pub(crate) ready: ReadyLine,
}

impl Oracle {
    /// Starts it with the arguments in `line`, separated by spaces.
    pub(crate) fn start(line: &str) -> Oracle {
        let mut child =
            program().args(line.split_whitespace()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said).expect("a line");
        Oracle { child, ready: serde_json::from_str(&said).expect("a ready line") }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.ready.addr).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("TCP");
        Client { stream, left: Vec::new() }
    }

    pub(crate) fn terminate(&self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).expect("ours");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("ours")
    }

    /// A file of its own in /proc.
    pub(crate) fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("it runs")
    }

    /// Bytes of its memory that are in use.
    pub(crate) fn resident(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// How a wait for an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a whole answer.
    Answer(Answer),
    /// With the end of the connection, after so many bytes of a body; `None` where not one byte came.
    Ended(Option<usize>),
    /// With its reset.
    Reset,
    /// Not at all, so far.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> &str {
        &self.head[9..12]
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// How long it says that the request was in the server.
    pub(crate) fn sojourn(&self) -> Duration {
        let seconds = self.header("x-process-time").expect("always there");
        let (whole, nanos) = seconds.split_once('.').expect("nine decimals");
        Duration::new(whole.parse().expect("a number"), nanos.parse().expect("a number"))
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    left: Vec<u8>,
}

impl Client {
    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("sent");
    }

    /// Sends `count` requests for /plaintext in one piece.
    pub(crate) fn ask(&mut self, count: usize) {
        self.send(&"GET /plaintext HTTP/1.1\r\nhost: x\r\n\r\n".repeat(count));
    }

    /// The next answer to a GET.
    pub(crate) fn answer(&mut self) -> Answer {
        match self.outcome() {
            Outcome::Answer(answer) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    pub(crate) fn outcome(&mut self) -> Outcome {
        let mut chunk = [0; 4096];
        loop {
            if let Some(answer) = self.whole() {
                return Outcome::Answer(answer);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Outcome::Ended(self.body_so_far()),
                Ok(read) => self.left.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Outcome::Reset,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Nothing,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn body_so_far(&self) -> Option<usize> {
        let head = self.left.windows(4).position(|four| four == b"\r\n\r\n");
        head.map(|head| self.left.len() - head - 4)
    }

    fn whole(&mut self) -> Option<Answer> {
        let head = self.left.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = String::from_utf8(self.left[..head + 2].to_vec()).expect("ASCII");
        let mut answer = Answer { head: text, body: String::new() };
        let length: usize = answer.header("content-length")?.parse().expect("a number");
        let body = self.left.get(head + 4..head + 4 + length)?;
        answer.body = String::from_utf8(body.to_vec()).expect("ASCII");
        self.left.drain(..head + 4 + length);
        Some(answer)
    }
}
