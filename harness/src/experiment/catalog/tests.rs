//! Manifests: right ones, and what is said of wrong ones.

use super::*;
use crate::verify::Answer;

fn parse(text: &str) -> Result<Vec<ServerDef>, String> {
    servers_of(super::parse(text)?, Path::new("/nowhere/runtime.toml"))
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
fn the_project_s_own_manifests_are_valid() {
    let root = crate::experiment::root::find().expect("a clone");
    let catalog = Catalog::read(Some(&root), &[]).expect("valid manifests");
    assert!(catalog.find("smol").is_ok());
    assert!(catalog.find("nosuch").is_err());
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

#[test]
fn several_manifests_are_read_and_names_are_given_once() {
    let root = crate::experiment::root::find().expect("a clone");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &str, name: &str| {
        let path = folder.path().join(file);
        let text = format!("command = ['x', '{{port}}']\n[[server]]\nname = '{name}'\nhas = ['wait']");
        fs::write(&path, text).expect("written");
        path
    };
    let (before, after) = (write("before.toml", "before"), write("after.toml", "after"));
    let catalog = Catalog::read(Some(&root), &[before.clone(), after]).expect("valid");
    for name in ["before", "after", "smol"] {
        assert!(catalog.find(name).is_ok(), "{name}");
    }
    assert!(catalog.find("before").expect("there").manifest.ends_with("before.toml"));
    let again = write("again.toml", "before");
    let problem = Catalog::read(Some(&root), &[before, again]).expect_err("twice").to_string();
    assert!(problem.contains("again.toml: there is a server 'before' already, in /"), "{problem}");
    assert!(problem.ends_with("before.toml"), "{problem}");
}

#[test]
fn a_command_line_names_servers_families_or_everybody() {
    let text = "package = 'a'\n[[server]]\nname = 'a-one'\n[[server]]\nname = 'a-two'\nonly_named = true\n\
                [[server]]\nname = 'b'\n[[server]]\nname = 'known'\nrole = 'oracle'";
    let absent = "command = ['x', '{port}']\nneeds = ['y']\n[[server]]\nname = 'a-absent'\nhas = ['*']";
    let servers = [parse(text).expect("valid"), parse(absent).expect("valid")].concat();
    let catalog = Catalog { servers, has_checkout: true };
    let choose = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        catalog.choose(&names, |server| server.role == Role::Contestant)
    };
    let chosen = |names: &[&str]| {
        let chosen = choose(names).expect("they are there");
        let names: Vec<String> = chosen.servers.into_iter().map(|server| server.name).collect();
        (names.join(" "), chosen.left_out.len())
    };
    assert_eq!(chosen(&[]), ("a-one b".into(), 1));
    assert_eq!(chosen(&["all"]), ("a-one a-two b".into(), 1));
    assert_eq!(chosen(&["b", "a-*", "b"]), ("b a-one a-two".into(), 1));
    assert_eq!(chosen(&["known"]), ("known".into(), 0));
    for (wrong, said) in
        [("a-absent", "is missing"), ("c*", "unknown server 'c*'"), ("a-onee", "did you mean a-one")]
    {
        let problem = choose(&[wrong]).expect_err(wrong).to_string();
        assert!(problem.contains(said), "{problem}");
    }
}
