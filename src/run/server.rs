//! Answers by HTTP for as long as a run lasts.

use super::health::{self, Health};
use super::metrics::{self, Told};
use super::probe::Probe;
use super::progress::Progress;
use super::route::{Route, route};
use crate::error::Error;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// So long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long an answer of the cluster is good for: who asks often, or from many places, does not keep it busy.
const FRESH: Duration = Duration::from_secs(1);
/// After an error of accepting, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes the address, which must be free.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| {
        let text = format!("cannot listen on {address}: {error}");
        match error.kind() {
            std::io::ErrorKind::AddrInUse => Error::with_hint(
                text,
                "another program listens there, perhaps another run: choose another with `--listen`; port 0 is one \
                 that is free",
            ),
            _ => Error::message(text),
        }
    })
}

/// What answers.
pub struct Teller {
    /// How far the run is.
    progress: Mutex<Progress>,
    began: Instant,
    probe: Probe,
    /// The last answer of the cluster, and when it came.
    last: tokio::sync::Mutex<Option<(Instant, Health)>>,
    stop: Box<dyn Fn() + Send + Sync>,
}

impl Teller {
    /// Tells of a run that began at this time, and of the cluster that is asked so; `stop` is called when somebody
    /// wants the run to end.
    pub fn new(
        progress: Progress,
        began: Instant,
        probe: Probe,
        stop: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            progress: Mutex::new(progress),
            began,
            probe,
            last: tokio::sync::Mutex::new(None),
            stop,
        }
    }

    /// Answers all that come, until it is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            // Those that have ended are forgotten.
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let teller = Arc::clone(&self);
            let service = service_fn(move |request| {
                let teller = Arc::clone(&teller);
                async move { Ok::<_, Infallible>(teller.answer(&request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            connections.spawn(async {
                // One that goes away is nobody's fault.
                let _ = connection.await;
            });
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match route(request.method(), request.uri().path(), request.headers()) {
            Route::Health => {
                let problems = match self.hindrance() {
                    Some(hindrance) => vec![hindrance],
                    None => self.health().await.problems,
                };
                if problems.is_empty() {
                    text(StatusCode::OK, "ok")
                } else {
                    text(StatusCode::SERVICE_UNAVAILABLE, &problems.join("\n"))
                }
            }
            Route::Metrics => self.metrics().await,
            Route::Stop => {
                (self.stop)();
                text(StatusCode::ACCEPTED, "the cluster is being taken down")
            }
            Route::Refused(status, words) => text(status, words),
            Route::Method(allowed) => {
                let words = format!("the method must be {allowed}");
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, &words);
                let allowed = http::HeaderValue::from_static(allowed);
                answer.headers_mut().insert(ALLOW, allowed);
                answer
            }
        }
    }

    /// How far the run is.
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hindrance(&self) -> Option<String> {
        self.progress().hindrance()
    }

    /// How the cluster is, asked a moment ago. Who comes while it is asked waits for the same answer.
    async fn health(&self) -> Health {
        let mut last = self.last.lock().await;
        if let Some((at, health)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return health.clone();
        }
        let health = health::health(&self.probe.look().await);
        *last = Some((Instant::now(), health.clone()));
        health
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let progress = self.progress().clone();
        let health = match progress.hindrance() {
            Some(_) => None,
            None => Some(self.health().await),
        };
        let told = Told {
            progress,
            uptime: self.began.elapsed(),
            health,
        };
        match metrics::render(told) {
            Ok(text) => answer(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

fn text(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", format!("{words}\n"))
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let kind = http::HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
