//! Manifests: right ones, and what is said of wrong ones.

use super::*;
use crate::verify::{Answer, Level};

fn parse(text: &str) -> Result<Vec<ServerDef>, String> {
    servers(text, Path::new("/nowhere/runtime.toml"))
}

#[test]
fn a_package_and_a_command_differ_in_their_defaults() {
    let package = &parse("package = 'rt-x'\n[[server]]\nname = 'x'").expect("valid")[0];
    assert_eq!((package.protocol, package.processes), (Protocol::Contract, Processes::ReusePort));
    let command = &parse("command = ['x', '{port}']\n[[server]]\nname = 'x'\nhas = ['*']").expect("valid")[0];
    assert_eq!((command.protocol, command.processes), (Protocol::Port, Processes::One));
    assert!(!command.is_package());
}

#[test]
fn what_is_wrong_is_said() {
    for (text, said) in [
        ("[[server]]\nname = 'x'", "either a package or a command"),
        ("package = 'a'\ncommand = ['b']\n[[server]]\nname = 'x'", "either a package or a command"),
        ("package = 'a'", "no [[server]]"),
        ("command = ['a']\n[[server]]\nname = 'x'", "write {port}"),
        ("package = 'a'\nstart_limit_s = 0\n[[server]]\nname = 'x'", "start_limit_s"),
        ("package = 'a'\nflavour = 1\n[[server]]\nname = 'x'", "unknown field"),
        ("package = 'a'\n[[server]]\nname = '=x'", "is no name"),
        ("package = 'a'\n[[server]]\nname = 'x.control'", "is the control's"),
        ("package = 'a'\n[[server]]\nname = 'all'", "stands for all servers"),
        (
            "command = ['a', '{port}']\nrustflags = ['-C']\n[[server]]\nname = 'x'",
            "rustflags are a package's",
        ),
        ("package = 'a'\n[[server]]\nname = 'x'\nlacks = ['wait']", "line 4: unknown field `lacks`"),
        (
            "package = 'a'\n[[server]]\nname = 'x'\nhas = ['wiat']",
            "server 'x': has: unknown route 'wiat': did you mean wait?",
        ),
        ("package = 'a'\n[[server]]\nname = 'x'\nhas = []", "server 'x': has: it has no route at all"),
        ("command = ['a', '{port}']\n[[server]]\nname = 'x'", "server 'x': has: say which"),
        ("package = 'a'\n[[server]]\nname = 'x'\n[[route]]\npath = '/'", "line 4: missing field `name`"),
        (
            "package = 'a'\n[[server]]\nname = 'x'\n[[route]]\nname = 'r'\npath = 'x'",
            "line 4: route 'r': path: begin",
        ),
        (
            "package = 'a'\n[[server]]\nname = 'x'\n[[route]]\nname = 'r'\npath = '/'\nstats = 1",
            "line 7: unknown field `stats`",
        ),
        (
            "package = 'a'\n[[server]]\nname = 'x'\n[[route]]\nname = 'r'\npath = '/'\n\
             [[route]]\nname = 'r'\npath = '/b'",
            "route 'r': name: it is given twice",
        ),
        (
            "package = 'a'\n[[server]]\nname = 'x'\nhas = ['r']\n[[route]]\nname = 'r'\npath = '/'",
            "server 'x': has: 'r' is declared as [[route]]",
        ),
    ] {
        let refusal = parse(text).expect_err(text);
        assert!(refusal.contains(said) && !refusal.contains('\n'), "{text}: {refusal}");
    }
}

#[test]
fn what_is_missing_names_the_script() {
    let text =
        "command = ['x', '{port}']\nneeds = ['y']\nsetup = 'setup.sh'\n[[server]]\nname = 'x'\nhas = ['*']";
    let missing = parse(text).expect("valid")[0].missing().expect("nothing is there");
    assert!(missing.contains("/nowhere/setup.sh"), "{missing}");
}

#[test]
fn a_server_has_what_its_manifest_says() {
    let of = |text: &str| parse(text).expect("valid").remove(0);
    let package = of("package = 'a'\n[[server]]\nname = 'x'");
    assert!(ROUTES.iter().all(|route| package.has_route(route.name) && package.has_target(route.example)));
    assert_eq!(package.verify_options(Level::Full).has.len(), ROUTES.len());

    let some = of("package = 'a'\n[[server]]\nname = 'x'\nhas = ['wait']");
    assert!(some.has_target("/wait?ms=5") && !some.has_target("/asyncwait?ms=5"));
    assert!(!some.has_target("/wait?ms=x") && !some.has_target("wait") && !some.has_target("search"));

    let declared = "[[route]]\nname = 'search'\npath = '/search?q=x'\nbody_bytes = 5";
    let own = of(&format!("command = ['x', '{{port}}']\n[[server]]\nname = 'x'\n{declared}"));
    assert!(own.has_target("search") && own.has.is_empty() && !own.has_target("/wait"));
    assert_eq!(own.declared("search").map(|route| &route.answer), Some(&Answer::Length(5)));
    assert_eq!((own.declared("/search?q=x"), own.declared("wait")), (None, None));
    let options = own.verify_options(Level::Replies);
    assert_eq!((options.has.len(), options.routes.len()), (0, 1));

    let both = of(&format!("package = 'a'\n[[server]]\nname = 'x'\n{declared}"));
    assert!(both.has_target("search") && both.has_target("/wait"));
}
