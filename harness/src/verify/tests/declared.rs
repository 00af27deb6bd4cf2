//! Declared routes: what is asked of a fake server, and what is said of a wrong answer.

use super::*;

#[test]
fn declared_routes_are_asked_for_instead_of_transcripts() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let addr = fake(GOOD, move |path| {
        let mut asked = asked.lock().expect("not poisoned");
        asked.push(path.to_owned());
        // No answer of /counted is like the last.
        let body = if path == "/counted" { "9".repeat(asked.len()) } else { "ok".to_owned() };
        Act::say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    });
    let route = |text: &str| toml::from_str::<DeclaredRoute>(text).expect("a route");
    let check = |texts: &[&str]| {
        let routes = texts.iter().map(|text| route(text)).collect();
        verify(addr, &Options { has: Vec::new(), routes, ..options() }).expect("it can be reached")
    };
    let right = check(&[
        "name = 'exact'\npath = '/exact'\nbody_is = 'ok'",
        "name = 'length'\npath = '/length'\nbody_bytes = 2",
        "name = 'counted'\npath = '/counted'",
        "name = 'posted'\npath = '/posted'\nmethod = 'POST'\nbody = 'GET /x HTTP/1.1'",
    ]);
    assert!(right.is_ok() && (right.passed, right.failed) == (4, 0), "{right}");
    // What must stay the same is asked for twice, and nothing else than what is declared.
    let paths = ["/exact", "/length", "/counted", "/counted", "/posted", "/posted"];
    assert_eq!(*seen.lock().expect("not poisoned"), paths);
    let wrong = check(&[
        "name = 'a'\npath = '/'\nbody_is = 'no'",
        "name = 'b'\npath = '/'\nbody_bytes = 3",
        "name = 'c'\npath = '/'\nstatus = 204",
    ]);
    let lines: Vec<String> = wrong.undeclared.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "a (whole): body: expected \"no\", got \"ok\"",
            "b (whole): body: expected 3 bytes, got 2 bytes",
            "c (whole): status: expected 204, got HTTP/1.1 200 OK",
        ]
    );
    assert_eq!((wrong.passed, wrong.failed), (0, 3));
    let nobody = verify(
        ([127, 0, 0, 1], 1).into(),
        &Options { routes: vec![route("name = 'x'\npath = '/'")], ..options() },
    );
    assert!(nobody.is_err());
}
