//! actix-web as it is deployed: an acceptor, a single-threaded runtime per worker, its own HTTP/1.

use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName};
use actix_web::http::{KeepAlive, StatusCode};
use actix_web::rt::{System, time};
use actix_web::web::{self, Bytes, PayloadConfig, ServiceConfig};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer};
use anyhow::Result;
use contract::handler::{Config, respond};
use contract::reply::Reply;
use contract::route::ROUTES;
use contract::{Calls, HttpStack, MAX_BODY, Runtime, Server, Spec, server};
use std::process::ExitCode;
use std::time::Duration;

const SPEC: Spec = Spec {
    runtime: "actix-web",
    package: Some("actix-web"),
    http: HttpStack::Package("actix-http"),
    flavors: &[],
    has_workers: true,
};

static X_PROCESS_TIME: HeaderName = HeaderName::from_static("x-process-time");

/// Its timer, and the blocking pool of the worker.
#[derive(Clone)]
struct Actix;

impl Runtime for Actix {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        time::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        web::block(work).await.expect("the pool outlives its requests")
    }
}

fn main() -> ExitCode {
    server::run(SPEC, serve)
}

fn serve(server: Server) -> Result<()> {
    let listener = server.listen()?;
    let (addr, workers, config) = (listener.local_addr()?, server.workers(), server.config());
    let timeout = server.header_timeout();
    let stop = server.stop.clone();
    let http = HttpServer::new(move || App::new().configure(|app| routes(app, config)))
        .workers(workers)
        // Each worker has a pool of its own: a share of the process's one number.
        .worker_max_blocking_threads((server.blocking_threads() / workers).max(1))
        .keep_alive(timeout.map_or(KeepAlive::Os, KeepAlive::Timeout))
        // Zero: no limit.
        .client_request_timeout(timeout.unwrap_or_default())
        .tcp_nodelay(true)
        // It looks once a second whether its connections have ended: sooner than that, the contract's limit on a drain
        // ends the process.
        .shutdown_timeout(1)
        .shutdown_signal(async move { stop.requested().await })
        .listen(listener)?;
    System::new().block_on(async {
        let running = http.run();
        server.ready(addr, workers)?;
        Ok(running.await?)
    })
}

/// Every path of the contract has its resource. The contract answers there, and wherever no resource is.
fn routes(app: &mut ServiceConfig, config: Config) {
    for path in ROUTES.iter().filter_map(|route| route.template.split('?').next()) {
        app.route(path, web::to(answer));
    }
    app.default_service(web::to(answer))
        .app_data(web::Data::new(config))
        .app_data(PayloadConfig::new(MAX_BODY));
}

async fn answer(config: web::Data<Config>, request: HttpRequest, body: Result<Bytes, Error>) -> HttpResponse {
    response(match body {
        Ok(_) => {
            let uri = request.uri();
            respond(&Actix, **config, request.method().as_str(), uri.path(), uri.query()).await
        }
        Err(refused) if refused.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE => {
            Reply::body_too_long()
        }
        Err(_) => Reply::bad_body(),
    })
}

fn response(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, reply.content_type));
    response.insert_header((X_PROCESS_TIME.clone(), reply.process_time().as_bytes()));
    if let Some(allow) = reply.allow {
        response.insert_header((ALLOW, allow));
    }
    if reply.close {
        response.force_close();
    }
    response.body(reply.body)
}
