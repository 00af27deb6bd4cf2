//! A server for the harness's own tests: right by default, and wrong in one way that its arguments name.
//!
//! Speaks the contract's protocol (ready line, SIGTERM), or listens on `--port`. What it does wrong under
//! load it does on `/wait?ms=7` only, so that it passes the check before the run.

use clap::Parser;
use contract::ready::ReadyLine;
use contract::route::Route;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio, exit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// Listen on this port and print no ready line
    #[arg(long)]
    port: Option<u16>,
    #[arg(long)]
    workers: Option<usize>,
    #[arg(long, default_value_t = 512)]
    blocking_threads: usize,
    #[arg(long, default_value = "none", overrides_with = "fault")]
    fault: Fault,
    /// Write the own process id, and that of a child that would live for minutes, into this file
    #[arg(long)]
    pids: Option<std::path::PathBuf>,
    /// Be no server: use this much CPU time, say so, and wait for the end of stdin
    #[arg(long)]
    burn_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fault {
    None,
    /// Says why and ends before it is ready
    NoStart,
    /// Never says that it is ready
    Silent,
    /// Prints something else than a ready line
    Chatty,
    /// Claims another contract
    Stale,
    /// Claims to listen where it does not
    Liar,
    /// Claims to listen on another machine
    Elsewhere,
    /// Gives a wrong body to the check before the run
    WrongReplies,
    /// Ends at the fifth request
    Dies,
    /// Does not answer from the fifth request on
    Hangs,
    /// Takes 64 MiB of memory for each request
    Greedy,
    /// Answers 503
    Unavailable,
    /// Answers with another body
    WrongBody,
    /// Closes the connection without an answer
    Closes,
    /// Closes the connection after half an answer
    Truncates,
    /// Resets the connection instead of an answer
    Resets,
    /// Closes every third connection after its request, without an answer
    ClosesThirds,
    /// Ignores SIGTERM
    Stubborn,
    /// Ends with status 9
    BadEnd,
    /// Dies of SIGTERM, as a program does that never thought of it
    Unaware,
    /// Lets itself run on all CPUs at the fifth request, whatever it was given
    Wanders,
    /// Claims more worker threads than it has
    Boasts,
    /// Lets a child do the work of the fifth request, which stays
    Delegates,
    /// Lets a child do the work of the fifth request, which ends
    DelegatesOnce,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(ms) = arguments.burn_ms {
        return burn(Duration::from_millis(ms));
    }
    if let Some(path) = &arguments.pids {
        let mut child = Command::new("sleep").arg("300").spawn().expect("sleep");
        std::fs::write(path, format!("{} {}", std::process::id(), child.id())).expect("a writable file");
        thread::spawn(move || child.wait());
    }
    match arguments.fault {
        Fault::NoStart => {
            eprintln!("warming up\nno database at localhost:5432");
            exit(3);
        }
        Fault::Silent => thread::park(),
        Fault::Chatty => println!("Hello!"),
        _ => {}
    }
    let addr = arguments.port.map_or(arguments.addr, |port| SocketAddr::from(([127, 0, 0, 1], port)));
    let listener = TcpListener::bind(addr).expect("a free port");
    let addr = listener.local_addr().expect("bound");
    if arguments.fault == Fault::Stubborn {
        // Taken, and nothing done about it.
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, taken).expect("a handler");
    } else if arguments.fault != Fault::Unaware {
        let mut signals =
            signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM]).expect("a handler");
        let status = if arguments.fault == Fault::BadEnd { 9 } else { 0 };
        thread::spawn(move || {
            signals.forever().next();
            exit(status);
        });
    }
    if arguments.port.is_none() {
        println!("{}", serde_json::to_string(&ready_line(&arguments, addr)).expect("serializes"));
    }
    for stream in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || serve(stream, arguments.fault));
    }
}

fn ready_line(arguments: &Arguments, addr: SocketAddr) -> ReadyLine {
    ReadyLine {
        addr: match arguments.fault {
            Fault::Liar => SocketAddr::from(([127, 0, 0, 1], 1)),
            // An address that is for documents.
            Fault::Elsewhere => SocketAddr::from(([192, 0, 2, 1], 80)),
            _ => addr,
        },
        runtime: "fake".into(),
        runtime_version: "1.0".into(),
        flavor: String::new(),
        http_stack: "std".into(),
        worker_threads: match arguments.fault {
            Fault::Boasts => Some(5000),
            _ => arguments.workers,
        },
        blocking_threads: Some(arguments.blocking_threads),
        pid: std::process::id(),
        rustflags: String::new(),
        contract: (arguments.fault == Fault::Stale).then(|| "0123456789abcdef".into()),
    }
}

fn serve(mut stream: TcpStream, fault: Fault) {
    stream.set_nodelay(true).expect("TCP");
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while !received.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(n) if n > 0 => received.extend_from_slice(&chunk[..n]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&received).into_owned();
        let end = head.find("\r\n\r\n").expect("found above") + 4;
        received.drain(..end);
        let target = head.split(' ').nth(1).unwrap_or("/");
        let answer = answer(target, fault);
        if answer.reset {
            // Nothing is left to be sent: closing it is a reset.
            _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        if stream.write_all(&answer.bytes).is_err() || answer.close || head.contains("connection: close") {
            return;
        }
    }
}

struct Answer {
    bytes: Vec<u8>,
    close: bool,
    reset: bool,
}

fn answer(target: &str, fault: Fault) -> Answer {
    static FAULTY: AtomicUsize = AtomicUsize::new(0);
    let Ok(route) = Route::parse_target(target) else { return whole(404, "text/plain", "") };
    thread::sleep(route.delay());
    let right = route.expected();
    let (kind, body) = (right.content_type, right.body);
    let whole = |status, body: &str| whole(status, kind, body);
    if fault == Fault::WrongReplies {
        return whole(200, "{}");
    }
    if target != "/wait?ms=7" {
        return whole(200, &body);
    }
    let count = FAULTY.fetch_add(1, Ordering::SeqCst) + 1;
    match fault {
        Fault::Dies if count >= 5 => {
            eprintln!("out of coffee");
            exit(7);
        }
        Fault::Hangs if count >= 5 => {
            thread::park();
            whole(200, &body)
        }
        Fault::Wanders if count == 5 => {
            let mut all = CpuSet::new();
            // Those that do not exist are ignored.
            (0..CpuSet::count()).for_each(|cpu| all.set(cpu).expect("in range"));
            sched_setaffinity(Pid::from_raw(0), &all).expect("not confined");
            // This connection's thread ends with it, the first thread does not.
            sched_setaffinity(Pid::this(), &all).expect("not confined");
            whole(200, &body)
        }
        Fault::Delegates | Fault::DelegatesOnce if count == 5 => {
            let program = std::env::current_exe().expect("this program");
            let mut child = Command::new(program)
                .args(["--burn-ms", "200"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("itself");
            child.stdout.take().expect("piped").read_exact(&mut [0]).expect("it says so");
            match fault {
                Fault::Delegates => std::mem::forget(child),
                _ => assert!(child.wait().expect("ours").success()),
            }
            whole(200, &body)
        }
        Fault::Greedy => {
            std::hint::black_box(vec![1_u8; 64 << 20]);
            whole(200, &body)
        }
        Fault::Unavailable => whole(503, "{}"),
        Fault::WrongBody => whole(200, "{\"duration\":7}"),
        Fault::Closes => nothing(false),
        Fault::Resets => nothing(true),
        Fault::ClosesThirds if count.is_multiple_of(3) => nothing(false),
        Fault::Truncates => {
            let mut bytes = whole(200, &body).bytes;
            bytes.truncate(bytes.len() - 3);
            Answer { bytes, close: true, reset: false }
        }
        _ => whole(200, &body),
    }
}

/// Uses CPU time, says so, and waits for the end of stdin.
fn burn(time: Duration) {
    let used = || Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock"));
    while used() < time {}
    println!("burnt");
    _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// No answer, and the end of the connection.
fn nothing(reset: bool) -> Answer {
    Answer { bytes: Vec::new(), close: true, reset }
}

fn whole(status: u16, kind: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    Answer { bytes: format!("{head}{body}").into_bytes(), close: false, reset: false }
}
