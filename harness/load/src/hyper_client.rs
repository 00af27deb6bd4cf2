//! Tasks on tokio that issue requests with hyper's client, each on a kept connection.
//!
//! As many tasks as may be under way at once: that is the concurrency limit. A task opens its connection
//! when it has its first request to send, and again when the server has closed it.

use crate::fate::Fate;
use crate::protocol::Order;
use crate::tally::{Answer, Queue};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The executor. Built before the load begins.
pub(super) fn build() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start tokio: {error}"))
}

/// A request as hyper takes it. The length of its body is hyper's to say.
pub(super) type Request = hyper::Request<Full<Bytes>>;

/// The order's request.
///
/// # Errors
/// It is no valid HTTP.
pub(super) fn request(order: &Order) -> Result<Arc<Request>, String> {
    let wanted = &order.request;
    let mut builder = hyper::Request::builder().method(wanted.method.as_str()).uri(&wanted.target);
    for (name, value) in &wanted.headers {
        builder = builder.header(name, value);
    }
    if builder.headers_ref().is_some_and(|headers| !headers.contains_key(HOST)) {
        builder = builder.header(HOST, &order.host);
    }
    let body = Full::new(Bytes::from(wanted.body.clone()));
    builder.body(body).map(Arc::new).map_err(|error| format!("the request is not valid: {error}"))
}

/// Issues requests from `in_flight` tasks until none is left.
pub(super) fn run(
    runtime: &Runtime,
    order: &Arc<Order>,
    request: &Arc<Request>,
    queue: &Arc<Queue>,
    in_flight: usize,
) {
    // Spawned: the future given to block_on runs outside the workers.
    let all = runtime.spawn({
        let (order, request, queue) = (Arc::clone(order), Arc::clone(request), Arc::clone(queue));
        async move {
            let mut workers = JoinSet::new();
            for _ in 0..in_flight {
                workers.spawn(worker(Arc::clone(&order), Arc::clone(&request), Arc::clone(&queue)));
            }
            while let Some(ended) = workers.join_next().await {
                ended.expect("a worker does not panic");
            }
        }
    });
    runtime.block_on(all).expect("the task does not panic")
}

async fn worker(order: Arc<Order>, request: Arc<Request>, queue: Arc<Queue>) {
    let mut connection = None;
    while queue.take() {
        let exchange = exchange(&order, &request, &mut connection, &queue);
        let outcome = match timeout(order.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fate::TimedOut),
        };
        if outcome.is_err() {
            connection = None;
        }
        queue.ended(outcome, &order.expect);
    }
}

type Connection = SendRequest<Full<Bytes>>;

async fn exchange(
    order: &Order,
    request: &Request,
    connection: &mut Option<Connection>,
    queue: &Queue,
) -> Result<Answer, Fate> {
    // A connection that the server has closed since its last answer is not an error but a new one.
    if connection.as_ref().is_some_and(Connection::is_closed) {
        *connection = None;
    }
    let sender = match connection {
        Some(sender) => sender,
        None => {
            let fresh = connect(order).await?;
            queue.connected();
            connection.insert(fresh)
        }
    };
    sender.ready().await.map_err(|error| Fate::ErrWrite(error.to_string()))?;
    let request = request.clone();
    let _under_way = queue.gauge.enter();
    let start = Instant::now();
    let response = sender.send_request(request).await.map_err(read_failure)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(read_failure)?.to_bytes();
    Ok(Answer { service: start.elapsed(), status, body: body.into() })
}

fn read_failure(error: hyper::Error) -> Fate {
    // Cancelled: hyper found the connection closed before it had sent anything.
    if error.is_canceled() { Fate::ErrWrite(error.to_string()) } else { Fate::ErrRead(error.to_string()) }
}

async fn connect(order: &Order) -> Result<Connection, Fate> {
    let refused = |error: std::io::Error| Fate::ErrConnect(error.to_string());
    let stream = TcpStream::connect(order.addr).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Fate::ErrConnect(error.to_string()))?;
    // What breaks the connection is reported to the request that is on it.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        Amount, Arrivals, Client, Connections, Driver, Expect, ExpectBody, Load, Request as Wanted, Share,
    };
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    fn order(addr: SocketAddr, wanted: &Wanted) -> Order {
        Order {
            addr,
            host: "h:1".into(),
            request: wanted.clone(),
            expect: Expect { status: 200, body: ExpectBody::Any },
            timeout: Duration::from_secs(10),
            load: Load {
                client: Client::Hyper,
                arrivals: Arrivals::Closed { in_flight: 1 },
                connections: Connections::Kept(1),
                amount: Amount::Requests(1),
            },
            seed: 1,
            share: Share::default(),
            driver: Driver::Auto,
            cpus: Vec::new(),
            spin: Duration::ZERO,
            mutation: None,
        }
    }

    /// What reaches a server when an order for this request is carried out, up to these last bytes.
    fn sent(wanted: &Wanted, last: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("bound");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let (mut text, mut byte) = (Vec::new(), [0]);
            while !text.ends_with(last.as_bytes()) && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                text.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("it listens");
            String::from_utf8(text).expect("text")
        });
        let order = order(addr, wanted);
        let (request, queue) = (request(&order).expect("valid"), Arc::new(Queue::new(1, 1)));
        run(&build().expect("it starts"), &Arc::new(order), &request, &queue, 1);
        let report = queue.report(Duration::ZERO, Duration::ZERO).expect("encodes");
        assert_eq!(report.fates.ok, 1, "{:?}", queue.first_error());
        server.join().expect("it ends")
    }

    #[test]
    fn a_request_has_its_method_headers_and_body() {
        assert_eq!(sent(&Wanted::get("/a?b"), "\r\n\r\n"), "GET /a?b HTTP/1.1\r\nhost: h:1\r\n\r\n");
        let post = Wanted {
            method: "POST".into(),
            headers: vec![("x-y".into(), "z".into())],
            body: "äb".into(),
            ..Wanted::get("/")
        };
        assert_eq!(
            sent(&post, "äb"),
            "POST / HTTP/1.1\r\nx-y: z\r\nhost: h:1\r\ncontent-length: 3\r\n\r\näb"
        );
    }

    #[test]
    fn a_request_that_is_no_http_is_refused() {
        let header = |name: &str, value: &str| Wanted {
            headers: vec![(name.into(), value.into())],
            ..Wanted::get("/")
        };
        for wanted in [
            Wanted { method: "G T".into(), ..Wanted::get("/") },
            Wanted::get("/a b"),
            header("x y", "z"),
            header("x", "z\r\ny: z"),
        ] {
            let problem = request(&order(([127, 0, 0, 1], 1).into(), &wanted)).expect_err("not valid");
            assert!(problem.starts_with("the request is not valid"), "{problem}");
        }
    }
}
