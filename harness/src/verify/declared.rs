//! Routes that a manifest declares: what to ask of a server that is not built on the contract, and what a
//! right answer is.

use contract::route::ROUTES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The methods that may be declared. A reply to HEAD has no body, and CONNECT leads elsewhere.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The headers that whoever sends the request sets.
const SET_ANYWAY: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// One declared route: `[[route]]` in a `runtime.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct DeclaredRoute {
    /// Its name on the command line and in result files.
    pub name: String,
    /// The request's method.
    pub method: String,
    /// The request's path and query.
    pub path: String,
    /// The request's headers, without those that every request has.
    pub headers: BTreeMap<String, String>,
    /// The request's body, empty for none.
    pub body: String,
    /// The status of a right answer.
    pub status: u16,
    /// The body of a right answer.
    pub answer: Answer,
}

impl DeclaredRoute {
    /// A GET of `path`, under that name, with this answer.
    pub fn get(path: &str, answer: Answer) -> DeclaredRoute {
        DeclaredRoute {
            name: path.to_owned(),
            method: "GET".into(),
            path: path.to_owned(),
            headers: BTreeMap::new(),
            body: String::new(),
            status: 200,
            answer,
        }
    }
}

/// The body of a right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This text, to the byte.
    Exact(String),
    /// Any of so many bytes.
    Length(usize),
    /// What stays the same when it is asked twice.
    Probe,
}

/// A route as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    method: Option<String>,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    status: Option<u16>,
    body_is: Option<String>,
    body_bytes: Option<usize>,
    probe: Option<bool>,
}

impl TryFrom<Written> for DeclaredRoute {
    type Error = String;

    fn try_from(written: Written) -> Result<DeclaredRoute, String> {
        let name = written.name;
        let wrong = |field: &str, why: &str| Err(format!("route '{name}': {field}: {why}"));
        if !is_name(&name) {
            return Err(format!("route '{name}': name: use letters, digits, '-', '_' and '.'"));
        }
        if ROUTES.iter().any(|route| route.name == name) {
            return wrong("name", "the contract has a route of this name; say has = [..] to have that one");
        }
        let method = written.method.unwrap_or_else(|| "GET".to_owned());
        if !METHODS.contains(&method.as_str()) {
            return wrong("method", &format!("'{method}' is none of {}", METHODS.join(", ")));
        }
        let plain = |c: char| c.is_ascii_graphic() && c != '#';
        if !written.path.starts_with('/') || !written.path.chars().all(plain) {
            return wrong("path", "begin with '/', and write what is not plain ASCII as %20");
        }
        for (header, value) in &written.headers {
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if header.is_empty() || !header.chars().all(token) {
                return wrong("headers", &format!("'{header}' is no name of a header"));
            }
            if SET_ANYWAY.iter().any(|set| header.eq_ignore_ascii_case(set)) {
                return wrong("headers", &format!("'{header}' is set by the client"));
            }
            if !value.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
                return wrong("headers", &format!("the value of '{header}' is no plain ASCII"));
            }
        }
        let status = written.status.unwrap_or(200);
        if !(200..600).contains(&status) {
            return wrong("status", &format!("{status}: give a number from 200 to 599"));
        }
        let answer = match (written.body_is, written.body_bytes, written.probe) {
            (Some(text), None, None | Some(false)) => Answer::Exact(text),
            (None, Some(bytes), None | Some(false)) => Answer::Length(bytes),
            (None, None, None | Some(true)) => Answer::Probe,
            (None, None, Some(false)) => return wrong("probe", "false: then give body_is or body_bytes"),
            (Some(_), Some(_), _) => return wrong("body_is", "body_bytes is given too: give one of them"),
            (_, _, Some(true)) => {
                return wrong("probe", "true, and body_is or body_bytes is given: give one of them");
            }
        };
        let (path, headers, body) = (written.path, written.headers, written.body);
        Ok(DeclaredRoute { name, method, path, headers, body, status, answer })
    }
}

impl From<DeclaredRoute> for Written {
    fn from(route: DeclaredRoute) -> Written {
        let (body_is, body_bytes, probe) = match route.answer {
            Answer::Exact(text) => (Some(text), None, None),
            Answer::Length(bytes) => (None, Some(bytes), None),
            Answer::Probe => (None, None, Some(true)),
        };
        let (method, status) = (Some(route.method), Some(route.status));
        let (name, path, headers, body) = (route.name, route.path, route.headers, route.body);
        Written { name, method, path, headers, body, status, body_is, body_bytes, probe }
    }
}

impl DeclaredRoute {
    /// Returns true if `body` can be the body of a right answer.
    pub fn may_be(&self, body: &[u8]) -> bool {
        match &self.answer {
            Answer::Exact(text) => body == text.as_bytes(),
            Answer::Length(bytes) => body.len() == *bytes,
            Answer::Probe => true,
        }
    }
}

/// Returns true if `name` can stand on a command line and in a result file as it is.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DeclaredRoute, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn little_has_to_be_said() {
        let route = parse("name = 'search'\npath = '/search?q=x'").expect("valid");
        assert_eq!((route.method.as_str(), route.path.as_str()), ("GET", "/search?q=x"));
        assert_eq!((route.status, route.answer, route.headers.len()), (200, Answer::Probe, 0));
        let route = parse(
            "name = 'add'\nmethod = 'POST'\npath = '/items'\nstatus = 201\nbody = '{}'\nbody_is = 'ok'\n\
             headers = { content-type = 'application/json' }",
        )
        .expect("valid");
        assert_eq!((route.status, &route.answer), (201, &Answer::Exact("ok".into())));
        assert_eq!((route.body.as_str(), route.headers["content-type"].as_str()), ("{}", "application/json"));
        let route = parse("name = 'x'\npath = '/'\nbody_bytes = 3\nprobe = false").expect("valid");
        assert_eq!(route.answer, Answer::Length(3));
    }

    #[test]
    fn a_route_that_was_written_out_is_read_back() {
        for answer in ["probe = true", "body_is = 'ok'", "body_bytes = 3"] {
            let text =
                format!("name = 'add'\nmethod = 'POST'\npath = '/x'\nheaders = {{ a = 'b' }}\n{answer}");
            let route = parse(&text).expect("valid");
            let written = serde_json::to_string(&route).expect("JSON");
            assert_eq!(serde_json::from_str::<DeclaredRoute>(&written).expect("its own"), route);
        }
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_the_field() {
        for (text, said) in [
            ("name = 'x'", "missing field `path`"),
            ("path = '/'", "missing field `name`"),
            ("name = 'x y'\npath = '/'", "route 'x y': name: use letters"),
            ("name = 'wait'\npath = '/'", "route 'wait': name: the contract has"),
            ("name = 'x'\npath = '/'\nmethod = 'HEAD'", "method: 'HEAD' is none of GET, POST"),
            ("name = 'x'\npath = 'x'", "path: begin with '/'"),
            ("name = 'x'\npath = '/a b'", "path: begin with '/'"),
            ("name = 'x'\npath = '/#a'", "path: begin with '/'"),
            ("name = 'x'\npath = '/'\nheaders = { 'a b' = '' }", "headers: 'a b' is no name"),
            ("name = 'x'\npath = '/'\nheaders = { Host = 'x' }", "headers: 'Host' is set by the client"),
            ("name = 'x'\npath = '/'\nheaders = { a = \"b\\r\\nc: d\" }", "headers: the value of 'a'"),
            ("name = 'x'\npath = '/'\nstatus = 100", "status: 100: give a number"),
            ("name = 'x'\npath = '/'\nbody_is = ''\nbody_bytes = 1", "body_is: body_bytes is given too"),
            ("name = 'x'\npath = '/'\nbody_is = ''\nprobe = true", "probe: true, and body_is"),
            ("name = 'x'\npath = '/'\nprobe = false", "probe: false: then give"),
            ("name = 'x'\npath = '/'\nbody_has = 'x'", "unknown field `body_has`"),
        ] {
            let refusal = parse(text).expect_err(text);
            assert!(refusal.contains(said) && !refusal.contains('\n'), "{text}: {refusal}");
        }
    }
}
