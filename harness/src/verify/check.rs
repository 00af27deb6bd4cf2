//! Where a reply differs from the expected one.

use super::findings::Aspect;
use super::options::Level;
use super::wire::Reply;
use contract::transcript::{ANY_DATE, ANY_SECONDS, Expected};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A server that counts in milliseconds may round up what it says.
const ROUNDING: Duration = Duration::from_millis(2);

/// One difference between what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) aspect: Aspect,
    pub(super) expected: String,
    pub(super) got: String,
}

impl Difference {
    pub(super) fn new(aspect: Aspect, expected: impl Into<String>, got: impl Into<String>) -> Difference {
        Difference { aspect, expected: expected.into(), got: got.into() }
    }
}

/// When a reply was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Before the connection was opened.
    pub(super) opened: Instant,
    /// Before the last bytes without which there can be no reply were sent.
    pub(super) sent: Instant,
}

/// Compares a reply with the expected one.
///
/// A wrong status is reported alone: the headers, the body and the delay of another answer differ anyway.
pub(super) fn compare(expected: &Expected, got: &Reply, asked: Asked, level: Level) -> Vec<Difference> {
    let mut differences = Vec::new();
    if got.status != expected.status() {
        differences.push(Difference::new(Aspect::Status, &expected.status_line, &got.status_line));
        return differences;
    }
    let took = got.at.saturating_duration_since(asked.sent);
    if took < expected.delay {
        let (least, took) = (format!("a reply after {:?} or more", expected.delay), format!("{took:?}"));
        differences.push(Difference::new(Aspect::Early, least, took));
    }
    if level == Level::Replies {
        differences.extend(media_type(expected, got));
    } else {
        if got.status_line != expected.status_line {
            differences.push(Difference::new(Aspect::StatusLine, &expected.status_line, &got.status_line));
        }
        let names: BTreeSet<&str> =
            expected.headers.keys().chain(got.headers.iter().map(|(n, _)| n)).map(String::as_str).collect();
        for name in names {
            let longest = got.at.saturating_duration_since(asked.opened);
            let wanted = expected.headers.get(name).map(String::as_str);
            differences.extend(header(name, wanted, got.header(name), expected.delay, longest));
        }
    }
    if got.body != expected.body.as_bytes() {
        differences.push(Difference::new(Aspect::Body, show(expected.body.as_bytes()), show(&got.body)));
    }
    differences
}

/// Compares one header; `shortest` and `longest` bound the time a reply may say that it took.
fn header(
    name: &str,
    expected: Option<&str>,
    got: Option<String>,
    shortest: Duration,
    longest: Duration,
) -> Option<Difference> {
    let form = |what: &str, got: &str| {
        Some(Difference::new(Aspect::Form, format!("{name}: {what}"), format!("{name}: {got}")))
    };
    match (expected, got) {
        (None, None) => None,
        (Some(ANY_DATE), Some(got)) if is_date(&got) => None,
        (Some(ANY_DATE), Some(got)) => form("a date like Sun, 06 Nov 1994 08:49:37 GMT", &got),
        (Some(ANY_SECONDS), Some(got)) => match seconds(&got) {
            None => form("a decimal number of seconds", &got),
            Some(said) if said < shortest => {
                let least = format!("{name}: {} or more", shortest.as_secs_f64());
                Some(Difference::new(Aspect::Early, least, format!("{name}: {got}")))
            }
            // The handler's time is part of what the client has waited: another unit shows here.
            Some(said) if said > longest + ROUNDING => {
                form(&format!("at most {}, which all of it took", longest.as_secs_f64()), &got)
            }
            Some(_) => None,
        },
        (Some(expected), Some(got)) if expected == got => None,
        (expected, got) => {
            let or_none = |value: Option<&str>| value.unwrap_or("no such header").to_owned();
            let aspect = Aspect::Header(name.to_owned());
            Some(Difference::new(aspect, or_none(expected), or_none(got.as_deref())))
        }
    }
}

/// Compares the media types without their parameters: `text/plain; charset=utf-8` is text/plain.
fn media_type(expected: &Expected, got: &Reply) -> Option<Difference> {
    let wanted = expected.headers.get("content-type")?;
    let sent = got.header("content-type").unwrap_or_default();
    let bare = sent.split(';').next().unwrap_or_default().trim();
    (!bare.eq_ignore_ascii_case(wanted))
        .then(|| Difference::new(Aspect::Header("content-type".to_owned()), wanted.as_str(), sent.as_str()))
}

/// Whether it is an IMF-fixdate, and not one of the two obsolete forms.
fn is_date(text: &str) -> bool {
    httpdate::parse_http_date(text).is_ok_and(|time| httpdate::fmt_http_date(time) == text)
}

fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// Bytes as a line: escaped, and cut where they go on for long.
pub(super) fn show(bytes: &[u8]) -> String {
    const LONGEST: usize = 160;
    match bytes {
        [] => "nothing".to_owned(),
        _ if bytes.len() <= LONGEST => format!("\"{}\"", bytes.escape_ascii()),
        _ => format!("\"{}…\" ({} bytes)", bytes[..LONGEST].escape_ascii(), bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_form() {
        assert!(is_date("Sun, 06 Nov 1994 08:49:37 GMT"));
        for wrong in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "now", ""] {
            assert!(!is_date(wrong), "{wrong}");
        }
    }

    #[test]
    fn seconds_are_decimal() {
        assert_eq!(seconds("0.050123000"), Some(Duration::from_micros(50_123)));
        assert_eq!(seconds("2"), Some(Duration::from_secs(2)));
        for wrong in ["", ".5", "5.", "-1.0", "+1.0", "1e3", "0.1s", "inf", "1.2.3"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_reply_must_say_no_more_and_no_less_than_it_took() {
        let ms = Duration::from_millis;
        let said = |text: &str| {
            header("x", Some(ANY_SECONDS), Some(text.to_owned()), ms(50), ms(60)).map(|d| d.aspect)
        };
        assert_eq!(said("0.050"), None);
        assert_eq!(said("0.061"), None);
        assert_eq!(said("0.049"), Some(Aspect::Early));
        assert_eq!(said("50.1"), Some(Aspect::Form));
    }

    #[test]
    fn long_bodies_are_cut() {
        assert_eq!(show(b""), "nothing");
        assert_eq!(show(b"a\r\n"), "\"a\\r\\n\"");
        assert!(show(&[b'a'; 1000]).ends_with("…\" (1000 bytes)"));
    }
}
