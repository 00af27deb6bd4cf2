//! The engine against small fake servers, each wrong in one way: it must be caught, and nothing else.

mod declared;
mod held;

use super::*;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// Transcripts with one case of each kind, for a server that has nothing to do with the contract's.
const TRANSCRIPTS: &str = r#"
[[probe]]
uses = []
send = "GET /alive HTTP/1.1\r\n\r\n"
status = 200
body = "yes"

[reply.ok]
status = "HTTP/1.1 200 OK"
headers = { content-length = "2", x-kind = "a" }
body = "ok"

[reply.late]
like = "ok"
headers = { x-process-time = "<seconds>" }
min_ms = 30

[[case]]
name = "plain"
short = true
plain = true
uses = ["plaintext"]
send = "GET /plain HTTP/1.1\r\n\r\n"
expect = ["ok"]

[[case]]
name = "late"
send = "GET /late HTTP/1.1\r\n\r\n"
expect = ["late"]

[[case]]
name = "closes"
send = "GET /closes HTTP/1.1\r\n\r\n"
expect = ["ok"]
then = "closed"

[[case]]
name = "pair"
split = "sample"
send = ["GET /pair HTTP/1.1\r\n\r\n", "GET /other HTTP/1.1\r\n\r\n"]
expect = ["ok", { like = "ok", body = "ko" }]

[[case]]
name = "awaited"
send = ["GET /awaited HTTP/1.1\r\n\r\n", { await_replies = 1 }, "GET /other HTTP/1.1\r\n\r\n"]
expect = ["ok", { like = "ok", body = "ko" }]

[[case]]
name = "head"
send = "HEAD /head HTTP/1.1\r\n\r\n"
expect = [{ like = "ok", head = true }]

[[case]]
name = "dated"
send = "GET /dated HTTP/1.1\r\n\r\n"
expect = [{ like = "ok", headers = { date = "<date>" } }]

[[case]]
name = "half-closed"
send = ["GET /half HTTP/1.1\r\n\r\n", { half_close = true }]
expect = ["ok"]
then = "closed"

[[case]]
name = "silent"
split = "never"
send = "GET /silent"
then = "closed"
after_ms = 60

[[case]]
name = "dripping"
split = "never"
send = ["GET /si", { pause_ms = 40 }, "lent", { pause_ms = 200 }, "\r\n\r\n"]
then = "closed"
after_ms = 60

[[case]]
name = "gone"
send = ["GET /gone", { leave = "close" }]
then = "gone"
bystanders = 2
"#;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: a\r\n";

/// What a fake does with a request.
#[derive(Debug, Clone)]
struct Act {
    bytes: Vec<u8>,
    delay: Duration,
    close: bool,
}

impl Act {
    fn say(bytes: impl Into<Vec<u8>>) -> Act {
        Act { bytes: bytes.into(), delay: Duration::ZERO, close: false }
    }
}

/// What a right server does.
fn right(path: &str) -> Act {
    match path {
        "/alive" => Act::say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"),
        "/late" => {
            let bytes = format!("{OK}x-process-time: 0.030000001\r\n\r\nok");
            Act { delay: Duration::from_millis(31), ..Act::say(bytes) }
        }
        "/closes" => Act { close: true, ..Act::say(format!("{OK}\r\nok")) },
        "/other" => Act::say(format!("{OK}\r\nko")),
        "/head" => Act::say(format!("{OK}\r\n")),
        "/dated" => Act::say(format!("{OK}Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nok")),
        _ => Act::say(format!("{OK}\r\nok")),
    }
}

/// How a fake treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Manners {
    /// How long the head of a request for `/silent` may take.
    silence: Duration,
    /// Whether it goes on reading after the client has ended.
    ignores_end: bool,
    /// Whether a client that leaves in mid-request ends all connections.
    fragile: bool,
}

const GOOD: Manners = Manners { silence: Duration::from_millis(70), ignores_end: false, fragile: false };

/// Starts a server on a port of its own.
fn fake(manners: Manners, answer: impl Fn(&str) -> Act + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let answer = Arc::new(answer);
    let all: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
            if manners.fragile {
                all.lock().unwrap().push(stream.try_clone().unwrap());
            }
            thread::spawn(move || {
                if converse(stream, manners, &*answer).is_none() && manners.fragile {
                    all.lock().unwrap().iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
                }
            });
        }
    });
    addr
}

/// Serves one connection; `None` if the client left in mid-request.
fn converse(mut stream: TcpStream, manners: Manners, answer: &dyn Fn(&str) -> Act) -> Option<()> {
    let mut buffer: Vec<u8> = Vec::new();
    let started = Instant::now();
    loop {
        while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            let head = String::from_utf8(head).unwrap();
            let act = answer(head.split(' ').nth(1).unwrap());
            thread::sleep(act.delay);
            stream.write_all(&act.bytes).ok();
            if act.close {
                return Some(());
            }
        }
        let left = manners.silence.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
        let timeout = buffer.starts_with(b"GET /si").then_some(left);
        stream.set_read_timeout(timeout).ok()?;
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(0) if manners.ignores_end => thread::park(),
            Ok(0) => return buffer.is_empty().then_some(()),
            Ok(n) => buffer.extend_from_slice(&bytes[..n]),
            Err(_) => return Some(()),
        }
    }
}

fn transcripts() -> Transcripts {
    transcript::parse(&[("test", TRANSCRIPTS)]).expect("they parse")
}

/// Patient enough for any machine, with a grace that decides nothing but how soon a probe is sent.
fn options() -> Options {
    Options { grace: Duration::from_millis(50), ..Options::new(Level::Full) }
}

/// For servers that hang: what does not come by then does not come.
fn impatient() -> Options {
    Options { patience: Duration::from_secs(1), ..options() }
}

fn check(addr: SocketAddr, options: &Options) -> Replayed {
    replay(addr, options, &transcripts()).expect("it can be reached")
}

/// Replays to a fake whose answers for `path` are changed, and returns what was found.
fn found(
    options: &Options,
    path: &'static str,
    change: impl Fn(Act) -> Act + Send + Sync + 'static,
) -> Vec<(String, String)> {
    let addr = fake(GOOD, move |asked| if asked == path { change(right(asked)) } else { right(asked) });
    pairs(&check(addr, options))
}

fn pairs(replayed: &Replayed) -> Vec<(String, String)> {
    replayed.undeclared.iter().map(|m| (m.case.clone(), m.aspect.to_string())).collect()
}

fn only(case: &str, aspect: &str) -> Vec<(String, String)> {
    vec![(case.to_owned(), aspect.to_owned())]
}

fn instead(bytes: impl Into<Vec<u8>>) -> impl Fn(Act) -> Act + Send + Sync + 'static {
    let bytes = bytes.into();
    move |act| Act { bytes: bytes.clone(), ..act }
}

#[test]
fn a_right_server_passes() {
    let replayed = check(fake(GOOD, right), &options());
    assert!(replayed.is_ok(), "{replayed}");
    assert_eq!((replayed.passed, replayed.failed), (11, 0));
    assert_eq!(replayed.to_string(), "11 cases passed, 0 failed");
}

#[test]
fn a_wrong_status_is_caught() {
    let wrong = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(found(&options(), "/plain", instead(wrong)), only("plain", "status"));
    let wrong = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nX-Kind: a\r\n\r\nok";
    assert_eq!(found(&options(), "/plain", instead(wrong)), only("plain", "status-line"));
}

#[test]
fn wrong_headers_are_caught() {
    let missing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(found(&options(), "/plain", instead(missing)), only("plain", "header:x-kind"));
    let other = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: b\r\n\r\nok";
    assert_eq!(found(&options(), "/plain", instead(other)), only("plain", "header:x-kind"));
    let more = format!("{OK}Server: me\r\n\r\nok");
    assert_eq!(found(&options(), "/plain", instead(more)), only("plain", "header:server"));
    let twice = format!("{OK}X-Kind: a\r\n\r\nok");
    assert_eq!(found(&options(), "/plain", instead(twice)), only("plain", "header:x-kind"));
}

#[test]
fn a_wrong_body_is_caught() {
    assert_eq!(found(&options(), "/plain", instead(format!("{OK}\r\nno"))), only("plain", "body"));
    assert_eq!(found(&options(), "/head", instead(format!("{OK}\r\nok"))), only("head", "body"));
}

#[test]
fn wrong_forms_are_caught() {
    let date = format!("{OK}Date: yesterday\r\n\r\nok");
    assert_eq!(found(&options(), "/dated", instead(date)), only("dated", "form"));
    let unit = format!("{OK}x-process-time: 30.5ms\r\n\r\nok");
    assert_eq!(found(&options(), "/late", instead(unit)), only("late", "form"));
    assert_eq!(found(&options(), "/plain", instead("what?\r\n\r\n")), only("plain", "form"));
}

#[test]
fn an_early_reply_is_caught() {
    // Its own word for the time it took would be right.
    let at_once = |act| Act { delay: Duration::ZERO, ..act };
    assert!(found(&options(), "/late", at_once).contains(&only("late", "early")[0]));
    let says_less = format!("{OK}x-process-time: 0.029\r\n\r\nok");
    assert_eq!(found(&options(), "/late", instead(says_less)), only("late", "early"));
    let addr = fake(Manners { silence: Duration::from_millis(5), ..GOOD }, right);
    let both = [only("dripping", "early"), only("silent", "early")].concat();
    assert_eq!(pairs(&check(addr, &options())), both);
}

#[test]
fn the_wrong_end_of_a_connection_is_caught() {
    let closes = |act| Act { close: true, ..act };
    assert_eq!(found(&options(), "/plain", closes), only("plain", "connection"));
    let stays = |act| Act { close: false, ..act };
    assert_eq!(found(&options(), "/closes", stays), only("closes", "connection"));
    let addr = fake(Manners { ignores_end: true, ..GOOD }, right);
    assert_eq!(pairs(&check(addr, &impatient())), only("half-closed", "connection"));
    let addr = fake(Manners { silence: Duration::from_secs(60), ..GOOD }, right);
    let both = [only("dripping", "responses"), only("silent", "connection")].concat();
    assert_eq!(pairs(&check(addr, &impatient())), both);
}

#[test]
fn missing_and_superfluous_replies_are_caught() {
    assert_eq!(found(&impatient(), "/plain", instead("")), only("plain", "responses"));
    let half = format!("{OK}\r\no");
    assert_eq!(found(&impatient(), "/plain", instead(half)), only("plain", "responses"));
    let hangs_up = |act| Act { bytes: Vec::new(), close: true, ..act };
    assert_eq!(found(&options(), "/plain", hangs_up), only("plain", "responses"));
    assert_eq!(found(&options(), "/awaited", hangs_up), only("awaited", "responses"));
    let twice = format!("{OK}\r\nok").repeat(2);
    assert_eq!(found(&options(), "/plain", instead(twice.clone())), only("plain", "responses"));
    assert_eq!(found(&options(), "/closes", instead(twice)), only("closes", "responses"));
    // A request answered with another one's reply.
    assert_eq!(found(&options(), "/pair", instead(format!("{OK}\r\nko"))), only("pair", "body"));
}

#[test]
fn harm_to_others_is_caught() {
    let addr = fake(Manners { fragile: true, ..GOOD }, right);
    let one_at_a_time = Options { threads: 1, ..options() };
    let mut gone = transcripts();
    gone.cases.retain(|case| case.name == "gone");
    let replayed = replay(addr, &one_at_a_time, &gone).expect("it can be reached");
    assert_eq!(pairs(&replayed), only("gone", "bystanders"));
}

#[test]
fn what_shows_only_in_parts_is_caught_once() {
    // Answers each read as if it were a whole request.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                while stream.read(&mut bytes).is_ok_and(|n| n > 0) {
                    let alive = bytes.starts_with(b"GET /alive");
                    stream.write_all(&right(if alive { "/alive" } else { "/plain" }).bytes).ok();
                }
            });
        }
    });
    let mut plain = transcripts();
    plain.cases.retain(|case| case.name == "plain");
    let replayed = replay(addr, &options(), &plain).expect("it can be reached");
    assert_eq!(pairs(&replayed), only("plain", "responses"));
    assert_eq!(replayed.undeclared[0].mode, Mode::Split(1), "{replayed}");
    assert_eq!((replayed.passed, replayed.failed), (0, 1));
}

#[test]
fn declared_deviations_pass_and_gone_ones_fail() {
    let declare = |text: &str| toml::from_str::<Deviation>(text).expect("a deviation");
    let more = || {
        fake(GOOD, |path| match path {
            "/plain" => Act::say(format!("{OK}Server: me\r\n\r\nok")),
            _ => right(path),
        })
    };
    let one = declare("cases = ['plain']\naspect = 'header:server'\nreason = 'it is proud'");
    let any = declare("cases = ['*']\naspect = 'header:server'\nreason = 'it is proud'");
    let wrong = declare("cases = ['plain', 'late']\naspect = 'header:server'\nreason = 'it is proud'");
    let other = declare("cases = ['plain']\naspect = 'body'\nreason = 'it was wrong once'");
    let with = |deviations: &[&Deviation]| {
        let deviations = deviations.iter().map(|d| (*d).clone()).collect();
        check(more(), &Options { deviations, ..options() })
    };
    let replayed = with(&[]);
    assert_eq!(
        replayed.to_string().lines().next(),
        Some("plain (whole): header:server: expected no such header, got me")
    );
    for declared in [&one, &any] {
        let replayed = with(&[declared]);
        assert!(replayed.is_ok() && replayed.declared.len() == 1 && replayed.passed == 11, "{replayed}");
    }
    let replayed = with(&[&wrong]);
    assert!(!replayed.is_ok() && replayed.undeclared.is_empty());
    assert_eq!(replayed.gone.iter().map(|gone| gone.case.as_str()).collect::<Vec<_>>(), ["late"]);
    // The outcome of a race may be absent.
    let race = Deviation { sometimes: true, ..other.clone() };
    assert!(with(&[&one, &race]).is_ok());
    let replayed = with(&[&one, &other]);
    assert!(!replayed.is_ok() && replayed.to_string().contains("does not (it was wrong once)"), "{replayed}");
}

#[test]
fn levels_and_lacking_routes_leave_cases_out() {
    let counts = |options: Options| {
        let replayed = check(fake(GOOD, right), &options);
        assert!(replayed.is_ok(), "{replayed}");
        (replayed.passed, replayed.skipped.len())
    };
    assert_eq!(counts(Options { level: Level::Short, ..options() }), (1, 0));
    assert_eq!(counts(Options { level: Level::Replies, ..options() }), (1, 0));
    assert_eq!(counts(Options { has: vec!["wait".into()], ..options() }), (10, 1));
    // Whoever is not built on the contract may add headers, and close.
    let loose = |_: &str| Act { close: true, ..Act::say("HTTP/1.0 200 Yes\r\nA: b\r\n\r\nok") };
    assert!(check(fake(GOOD, loose), &Options { level: Level::Replies, ..options() }).is_ok());
}

#[test]
fn unknown_names_are_errors() {
    let refused = |options: &Options| replay(([127, 0, 0, 1], 1).into(), options, &transcripts()).is_err();
    assert!(refused(&options()), "nobody listens there");
    let deviation = |case: &str| Deviation {
        cases: vec![case.to_owned()],
        aspect: Aspect::Body,
        reason: "for a test".to_owned(),
        sometimes: false,
    };
    let known = contract::transcript::load().expect("they parse");
    assert!(check_names(&[], &[deviation("plaintext")], &known).is_ok());
    assert!(check_names(&[], &[deviation("plaintxt")], &known).is_err());
    assert!(check_names(&["plaintxt".to_owned()], &[], &known).is_err());
    for text in ["header:Server", "header:", "headers", ""] {
        assert!(Aspect::try_from(text.to_owned()).is_err(), "{text}");
    }
    let header = Aspect::try_from("header:server".to_owned()).expect("one of its own");
    assert_eq!(
        (header.to_string(), header),
        ("header:server".to_owned(), Aspect::Header("server".to_owned()))
    );
}

#[test]
fn a_server_that_dies_is_a_mismatch() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || drop(listener.accept()));
    let replayed = check(addr, &options());
    assert_eq!((replayed.passed, replayed.failed), (0, 11), "{replayed}");
}
