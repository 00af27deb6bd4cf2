//! The byte transcripts that `harness verify` replays: what is sent, and what must come back.
//!
//! They are data, in `transcripts/*.toml` next to this crate's sources, with every expected value
//! written out: none is computed from a server. `transcripts/README.md` explains the notation. This
//! file reads them and resolves the replies they share; how they are replayed is the harness's job.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a server must be started with for the transcripts to hold.
pub const ARGUMENTS: [&str; 3] = ["--header-timeout", "2", "--panic-route"];

/// The value of an expected header that stands for any date in the form of RFC 9110, section 5.6.7.
pub const ANY_DATE: &str = "<date>";
/// The value of an expected header that stands for any decimal number of seconds.
pub const ANY_SECONDS: &str = "<seconds>";

const FILES: [(&str, &str); 7] = [
    ("replies.toml", include_str!("../transcripts/replies.toml")),
    ("routes.toml", include_str!("../transcripts/routes.toml")),
    ("connections.toml", include_str!("../transcripts/connections.toml")),
    ("bodies.toml", include_str!("../transcripts/bodies.toml")),
    ("heads.toml", include_str!("../transcripts/heads.toml")),
    ("headers.toml", include_str!("../transcripts/headers.toml")),
    ("faults.toml", include_str!("../transcripts/faults.toml")),
];

/// All transcripts, in the order of their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcripts {
    /// Requests that tell whether a connection is alive, the preferred one first.
    pub probes: Vec<Probe>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A request that any living connection answers, in a way no case's last reply looks like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The routes without which a server cannot answer it.
    pub uses: Vec<String>,
    /// The request.
    pub send: String,
    /// The status of its answer.
    pub status: u16,
    /// The body of its answer, where it is the same on every server that the probe is for.
    pub body: Option<String>,
}

/// One exchange on one connection, and how it must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name, unique among all cases.
    pub name: String,
    /// The routes it asks for, by their names in [`crate::route::ROUTES`].
    pub uses: Vec<String>,
    /// Whether it belongs to the subset that is replayed before every measuring run, when the server
    /// was started without [`ARGUMENTS`].
    pub short: bool,
    /// Whether it is a plain request that servers not built on this contract must answer too.
    pub plain: bool,
    /// What the client does.
    pub steps: Vec<Step>,
    /// What must come back, in order.
    pub replies: Vec<Expected>,
    /// What must have become of the connection.
    pub then: Then,
    /// How long the server must have kept a connection that it closes because nothing came.
    pub after: Option<Duration>,
    /// Where the bytes of the first step may be cut in two.
    pub split: Split,
    /// How many other connections are kept open meanwhile, and must be answered before and after.
    pub bystanders: usize,
}

/// One thing that the client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends bytes.
    Send(Payload),
    /// Does nothing for this long.
    Pause(Duration),
    /// Waits until this many replies in all have come.
    Await(usize),
    /// Says that it has nothing more to send, and goes on reading.
    HalfClose,
    /// Goes away without reading anything.
    Leave(Leave),
}

/// Bytes to send at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where the pieces it was written as meet, which is where a cut is of interest in a long one.
    pub joints: Vec<usize>,
}

/// How a client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    /// By closing its socket.
    Close,
    /// With a reset, like a process that crashed with unread data.
    Reset,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It answers another request.
    #[default]
    Open,
    /// The server closes it.
    Closed,
    /// The client has left.
    Gone,
}

/// Where a payload may be cut in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// After every byte.
    #[default]
    Every,
    /// Around the joints of its pieces and at a few places between: for long payloads.
    Sample,
    /// Nowhere: the outcome depends on how the bytes arrive, or on time.
    Never,
}

/// A reply that must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The status line without its line end: `HTTP/1.1 200 OK`.
    pub status_line: String,
    /// All headers, by their names in lower case. [`ANY_DATE`] and [`ANY_SECONDS`] stand for a form.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// Whether it answers a HEAD request, and so ends with its head whatever its headers say.
    pub head: bool,
    /// How long it must take at the least.
    pub delay: Duration,
}

impl Expected {
    /// The status code, 0 if the status line has none.
    pub fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

/// All transcripts of this contract.
///
/// # Errors
/// A transcript is malformed; this crate's tests make sure that none is.
pub fn load() -> Result<Transcripts> {
    parse(&FILES)
}

/// Reads transcripts from (file name, text) pairs.
///
/// # Errors
/// One of them is malformed, or names something that does not exist.
pub fn parse(files: &[(&str, &str)]) -> Result<Transcripts> {
    let mut all = RawFile::default();
    for (name, text) in files {
        let file: RawFile = toml::from_str(text).with_context(|| format!("in {name}"))?;
        all.reply.extend(file.reply);
        all.probe.extend(file.probe);
        all.case.extend(file.case);
    }
    let mut names = BTreeSet::new();
    let mut cases = Vec::with_capacity(all.case.len());
    for case in all.case {
        ensure!(names.insert(case.name.clone()), "two cases are called {}", case.name);
        let name = case.name.clone();
        cases.push(resolve(case, &all.reply).with_context(|| format!("in case {name}"))?);
    }
    Ok(Transcripts { probes: all.probe, cases })
}

fn resolve(raw: RawCase, named: &BTreeMap<String, RawReply>) -> Result<Case> {
    let steps = steps(raw.send)?;
    let mut replies = Vec::with_capacity(raw.expect.len());
    for reply in raw.expect {
        let reply = match reply {
            RawExpect::Named(like) => RawReply { like: Some(like), ..RawReply::default() },
            RawExpect::Written(reply) => reply,
        };
        let flat = inherit(reply, named, 0)?;
        replies.push(Expected {
            status_line: flat.status.context("a reply without a status")?,
            headers: flat.headers,
            body: if flat.head { String::new() } else { flat.body.unwrap_or_default() },
            head: flat.head,
            delay: Duration::from_millis(flat.min_ms.unwrap_or(0)),
        });
    }
    let ends_sending = steps.iter().any(|step| matches!(step, Step::HalfClose));
    let leaves = steps.iter().any(|step| matches!(step, Step::Leave(_)));
    ensure!(!ends_sending || raw.then != Then::Open, "a half-closed connection cannot stay open");
    ensure!(leaves == (raw.then == Then::Gone), "`leave` and `then = \"gone\"` go together");
    ensure!(raw.after_ms.is_none() || raw.then == Then::Closed, "`after_ms` needs `then = \"closed\"`");
    Ok(Case {
        name: raw.name,
        uses: raw.uses,
        short: raw.short,
        plain: raw.plain,
        steps,
        replies,
        then: raw.then,
        after: raw.after_ms.map(Duration::from_millis),
        split: raw.split,
        bystanders: raw.bystanders,
    })
}

/// Joins the pieces that are sent at a time.
fn steps(raw: RawSend) -> Result<Vec<Step>> {
    let raw = match raw {
        RawSend::One(text) => vec![RawStep::Text(text)],
        RawSend::Many(steps) => steps,
    };
    let mut steps: Vec<Step> = Vec::new();
    for step in raw {
        let (text, times) = match step {
            RawStep::Text(text) => (text, 1),
            RawStep::Fill { fill, times } => (fill, times),
            RawStep::Pause { pause_ms } => {
                steps.push(Step::Pause(Duration::from_millis(pause_ms)));
                continue;
            }
            RawStep::Await { await_replies } => {
                steps.push(Step::Await(await_replies));
                continue;
            }
            RawStep::Leave { leave } => {
                steps.push(Step::Leave(leave));
                continue;
            }
            RawStep::HalfClose { half_close: true } => {
                steps.push(Step::HalfClose);
                continue;
            }
            RawStep::HalfClose { half_close: false } => bail!("half_close = false does nothing"),
        };
        let bytes = latin1(&text)?.repeat(times);
        if let Some(Step::Send(payload)) = steps.last_mut() {
            payload.joints.push(payload.bytes.len());
            payload.bytes.extend(bytes);
        } else {
            steps.push(Step::Send(Payload { bytes, joints: Vec::new() }));
        }
    }
    Ok(steps)
}

/// One byte a character, so that a TOML string can hold any byte: `\u00ff` is 0xff.
fn latin1(text: &str) -> Result<Vec<u8>> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).map_err(|_| anyhow::anyhow!("{c:?} is more than a byte")))
        .collect()
}

/// Fills what `reply` leaves out from the reply it is `like`.
fn inherit(reply: RawReply, named: &BTreeMap<String, RawReply>, depth: usize) -> Result<RawReply> {
    let Some(like) = &reply.like else { return Ok(reply) };
    ensure!(depth < 8, "the reply {like} is like itself");
    let base = named.get(like).with_context(|| format!("there is no reply {like}"))?;
    let mut base = inherit(base.clone(), named, depth + 1)?;
    base.headers.extend(reply.headers);
    Ok(RawReply {
        like: None,
        status: reply.status.or(base.status),
        headers: base.headers,
        body: reply.body.or(base.body),
        head: reply.head || base.head,
        min_ms: reply.min_ms.or(base.min_ms),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawFile {
    reply: BTreeMap<String, RawReply>,
    probe: Vec<Probe>,
    case: Vec<RawCase>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawReply {
    like: Option<String>,
    status: Option<String>,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    head: bool,
    min_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    #[serde(default)]
    uses: Vec<String>,
    #[serde(default)]
    short: bool,
    #[serde(default)]
    plain: bool,
    send: RawSend,
    #[serde(default)]
    expect: Vec<RawExpect>,
    #[serde(default)]
    then: Then,
    after_ms: Option<u64>,
    #[serde(default)]
    split: Split,
    #[serde(default)]
    bystanders: usize,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawSend {
    One(String),
    Many(Vec<RawStep>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum RawStep {
    Text(String),
    Fill { fill: String, times: usize },
    Pause { pause_ms: u64 },
    Await { await_replies: usize },
    HalfClose { half_close: bool },
    Leave { leave: Leave },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawExpect {
    Named(String),
    Written(RawReply),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::ROUTES;

    fn text_of(case: &Case) -> String {
        let sent = case.steps.iter().filter_map(|step| match step {
            Step::Send(payload) => Some(String::from_utf8_lossy(&payload.bytes).into_owned()),
            _ => None,
        });
        sent.collect()
    }

    #[test]
    fn there_are_enough_cases_of_every_kind() {
        let cases = load().expect("they parse").cases;
        assert!(cases.len() >= 100, "{}", cases.len());
        for route in ROUTES {
            let asks = |case: &&Case| case.uses.iter().any(|used| used == route.name);
            assert!(cases.iter().filter(asks).any(|case| case.short), "{} in the short check", route.name);
            assert!(cases.iter().filter(asks).any(|case| case.plain), "{} in the plain ones", route.name);
        }
        for status in [100, 200, 400, 404, 405, 413, 414, 422, 431, 500] {
            let gives = |case: &Case| case.replies.iter().any(|reply| reply.status() == status);
            assert!(cases.iter().any(gives), "no case gives a {status}");
        }
    }

    #[test]
    fn cases_use_the_routes_they_say() {
        for case in load().expect("they parse").cases {
            let text = text_of(&case);
            for route in ROUTES {
                let says = case.uses.iter().any(|used| used == route.name);
                // What follows the name tells /fib/3 from /fibre; a path of another route is no use of it.
                let asks = [" ", "?", "/", "#"].iter().any(|end| {
                    text.contains(&format!(" /{}{end}", route.name))
                        || text.contains(&format!("://x/{}{end}", route.name))
                });
                assert!(!says || asks, "{} says it uses {}", case.name, route.name);
                // A path under a route's name that is not the route's is a 404 on every server.
                let answered = case.replies.iter().any(|reply| ![400, 404].contains(&reply.status()));
                assert!(says || !asks || !answered, "{} uses {}", case.name, route.name);
            }
            assert!(case.uses.iter().all(|used| ROUTES.iter().any(|r| r.name == used)), "{}", case.name);
        }
    }

    #[test]
    fn short_and_plain_cases_hold_whatever_a_server_was_started_with() {
        for case in load().expect("they parse").cases.iter().filter(|case| case.short || case.plain) {
            assert!(
                case.after.is_none() && !text_of(case).contains(crate::route::PANIC.template),
                "{}",
                case.name
            );
        }
    }

    #[test]
    fn every_reply_carries_its_own_length() {
        for case in load().expect("they parse").cases {
            for reply in &case.replies {
                assert!((100..600).contains(&reply.status()), "{}: {}", case.name, reply.status_line);
                let length = reply.headers.get("content-length").and_then(|length| length.parse().ok());
                if !reply.head && reply.status() != 100 {
                    assert_eq!(length, Some(reply.body.len()), "{}", case.name);
                }
            }
        }
    }

    #[test]
    fn the_notation_means_what_it_says() {
        let text = r#"
            [reply.a]
            status = "HTTP/1.1 200 OK"
            headers = { x = "1", y = "2" }
            body = "b"
            [[case]]
            name = "one"
            send = ["\u00ff", { fill = "ab", times = 2 }, { pause_ms = 5 }, "c", { half_close = true }]
            expect = ["a", { like = "a", headers = { y = "3" }, head = true }]
            then = "closed"
        "#;
        let cases = parse(&[("test", text)]).expect("it parses").cases;
        let first = Payload { bytes: b"\xffabab".to_vec(), joints: vec![1] };
        let last = Payload { bytes: b"c".to_vec(), joints: vec![] };
        let pause = Step::Pause(Duration::from_millis(5));
        assert_eq!(cases[0].steps, [Step::Send(first), pause, Step::Send(last), Step::HalfClose]);
        assert_eq!((cases[0].replies[0].body.as_str(), cases[0].replies[1].body.as_str()), ("b", ""));
        assert_eq!((&*cases[0].replies[1].headers["x"], &*cases[0].replies[1].headers["y"]), ("1", "3"));
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "[[case]]\nname = 'a'\nsend = 'x'\nexpcet = []",
            "[[case]]\nname = 'a'\nsend = 'x'\nexpect = ['nosuch']",
            "[[case]]\nname = 'a'\nsend = 'x'\n[[case]]\nname = 'a'\nsend = 'x'",
            "[[case]]\nname = 'a'\nsend = '\u{1f600}'",
            "[[case]]\nname = 'a'\nsend = ['x', { half_close = true }]",
            "[[case]]\nname = 'a'\nsend = ['x', { leave = 'close' }]",
            "[reply.a]\nlike = 'a'\n[[case]]\nname = 'a'\nsend = 'x'\nexpect = ['a']",
        ] {
            assert!(parse(&[("test", text)]).is_err(), "{text}");
        }
    }
}
