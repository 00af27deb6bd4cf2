//! Clients that only hold on, against fake servers that bear them or not.

use super::*;

/// Holds on to the server with so many idle connections.
fn held(addr: SocketAddr, options: &Options, connections: usize) -> Replayed {
    hold_with(addr, options, connections, &transcripts().probes).expect("it can be reached")
}

/// A server that does with each connection what `serve` does, on a thread of its own.
fn server(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (place, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream, place));
        }
    });
    addr
}

fn answer(stream: TcpStream) {
    _ = converse(stream, GOOD, &right);
}

#[test]
fn a_server_that_bears_those_who_hold_on_passes() {
    let replayed = held(fake(GOOD, right), &options(), 100);
    assert!(replayed.is_ok() && replayed.passed == 2, "{replayed}");
}

#[test]
fn a_server_that_takes_everything_of_a_client_that_never_reads_is_caught() {
    // It reads on, and writes when it can: what it has to say is in its memory.
    let addr = server(|mut stream, _| {
        let mut writing = stream.try_clone().expect("a second handle");
        let (sender, replies) = std::sync::mpsc::channel::<Vec<u8>>();
        thread::spawn(move || replies.iter().all(|reply| writing.write_all(&reply).is_ok()));
        let mut bytes = [0; 64 << 10];
        let mut begun = 0;
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            // The fake's request for a probe has 23 bytes.
            begun += read;
            let replies = right("/alive").bytes.repeat(begun / 23);
            begun %= 23;
            if sender.send(replies).is_err() {
                return;
            }
        }
    });
    assert_eq!(pairs(&held(addr, &options(), 10)), only("never-reads", "backlog"));
}

#[test]
fn a_server_that_serves_one_client_at_a_time_is_caught() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
    let replayed = held(addr, &impatient(), 0);
    assert_eq!(pairs(&replayed), only("never-reads", "bystanders"), "{replayed}");
}

#[test]
fn a_server_that_loses_replies_that_are_read_late_is_caught() {
    // It gives up where a reply is not taken at once.
    let addr = server(|stream, _| {
        stream.set_write_timeout(Some(Duration::from_millis(100))).expect("ours");
        let mut stream = stream;
        let mut bytes = [0; 23];
        while stream.read_exact(&mut bytes).is_ok() {
            if stream.write_all(&right("/alive").bytes).is_err() {
                return;
            }
        }
    });
    let found = pairs(&held(addr, &options(), 0));
    // It may be seen to close while more is sent, or when its replies are counted.
    let either = [only("never-reads", "connection"), only("never-reads", "responses")];
    assert!(either.contains(&found), "{found:?}");
}

#[test]
fn a_server_that_bears_only_some_connections_is_caught() {
    // The checks before take four of them.
    let addr = server(|stream, place| {
        if place < 50 {
            answer(stream);
        }
    });
    let found = pairs(&held(addr, &options(), 100));
    assert!(found.iter().all(|(case, _)| case == "idle-connections") && !found.is_empty(), "{found:?}");
}

#[test]
fn deviations_of_held_connections_are_declared_like_others() {
    let declare = |text: &str| toml::from_str::<Deviation>(text).expect("a deviation");
    let few = || {
        server(|stream, place| {
            if place < 50 {
                answer(stream)
            }
        })
    };
    let both = "cases = ['idle-connections', 'plain']\nreason = 'it is small'\n";
    let all = ["bystanders", "responses"]
        .map(|aspect| declare(&format!("{both}aspect = '{aspect}'\nsometimes = true")));
    let replayed = held(few(), &Options { deviations: all.to_vec(), ..options() }, 100);
    assert!(replayed.is_ok() && replayed.passed == 2, "{replayed}");
    // One that does not show is gone, and is none of the transcripts' business.
    let wrong = declare("cases = ['idle-connections']\nreason = 'it was small'\naspect = 'backlog'");
    let given = Options { deviations: vec![wrong], ..options() };
    let replayed = held(fake(GOOD, right), &given, 10);
    assert_eq!(replayed.gone.len(), 1, "{replayed}");
    assert!(check(fake(GOOD, right), &given).is_ok());
}
