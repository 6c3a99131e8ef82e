//! How this machine reaches a cluster: by its administrator's kubeconfig, at the port that the master publishes.

use crate::cluster::{API_SERVER_PORT, ClusterSpec};
use crate::engine::Engine;
use crate::error::Error;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long an API server may take to answer that is there: many times what a restarted one takes on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// By which of a cluster's containers it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// A master: any has the administrator's kubeconfig.
    pub master: String,
    /// The one that publishes the API server: the master where there is one, else the load balancer.
    pub publisher: String,
}

impl Way {
    /// The way into a cluster all of whose containers are there.
    pub fn of(spec: &ClusterSpec) -> Self {
        let master = spec.master().container.clone();
        let balancer = spec.load_balancer.as_ref();
        Self {
            publisher: balancer.map_or_else(|| master.clone(), |found| found.container.clone()),
            master,
        }
    }
}

/// The kubeconfig that works on the engine's host: the one of the cluster, with the address that is published there.
pub async fn kubeconfig(engine: &Engine, way: &Way) -> Result<String, Error> {
    let Way { master, publisher } = way;
    let published = engine
        .published(publisher, API_SERVER_PORT)
        .await
        .map_err(|source| Error::other(reading(master), source))?;
    let published =
        published.ok_or_else(|| Error::message(format!("{publisher} publishes no port")))?;
    kubeconfig_for(engine, master, &published.to_string()).await
}

/// The kubeconfig that works in the cluster's network, where what publishes the API server has this name.
pub async fn kubeconfig_within(engine: &Engine, way: &Way, name: &str) -> Result<String, Error> {
    let address = format!("{name}:{API_SERVER_PORT}");
    kubeconfig_for(engine, &way.master, &address).await
}

fn reading(master: &str) -> String {
    format!("read the kubeconfig of {master}")
}

async fn kubeconfig_for(engine: &Engine, master: &str, address: &str) -> Result<String, Error> {
    let content = engine
        .read_file(master, "/data/etc/kubernetes/admin.conf")
        .await
        .map_err(|source| Error::other(reading(master), source))?;
    let content = content.ok_or_else(|| Error::message(format!("{master} has no kubeconfig")))?;
    let mut config: serde_yaml::Value =
        serde_yaml::from_slice(&content).map_err(|source| Error::other(reading(master), source))?;
    config["clusters"][0]["cluster"]["server"] = format!("https://{address}").into();
    serde_yaml::to_string(&config).map_err(|source| Error::other(reading(master), source))
}

/// So long a connection may take, TLS included, before another is tried. One that was made while masters start may lead to
/// an API server that never takes it: with kube's own 30 s, all of a `start` waited for that.
const CONNECTING: Duration = Duration::from_secs(3);

/// A client for a cluster, by the kubeconfig that a user gets.
pub fn client(kubeconfig: &str) -> Result<Client, Error> {
    let doing = "connect to the API server";
    let kubeconfig =
        Kubeconfig::from_yaml(kubeconfig).map_err(|source| Error::other(doing, source))?;
    let build =
        async { Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await };
    // Nothing in it waits: all that the kubeconfig names is in its own text.
    let mut config = futures_util::FutureExt::now_or_never(build)
        .ok_or_else(|| Error::message("the kubeconfig names files"))?
        .map_err(|source| Error::other(doing, source))?;
    config.connect_timeout = Some(CONNECTING);
    // We know better which requests may be made again, and for how long: kube's own pauses add up to minutes.
    config.default_retry = false;
    Client::try_from(config).map_err(|source| Error::other(doing, source))
}

/// How long several masters may take to agree after the loss of one: many times what they do.
pub const AGREEING: Duration = Duration::from_secs(30);

/// How long one answer may take: a master that stands still gives none.
const ANSWER: Duration = Duration::from_secs(10);

/// Makes a request that may be made twice, and makes it again as long as there is patience where it is not answered, or with
/// a fault of the server: of several masters one may have gone with it, or their etcds look for a leader. Who cancels waits
/// for one answer at most.
pub async fn again<T>(
    patience: Duration,
    cancel: &CancellationToken,
    request: impl AsyncFn() -> Result<T, kube::Error>,
) -> Result<T, kube::Error> {
    let end = Instant::now() + patience;
    loop {
        // What is given up takes its connection with it: the next one may lead to another master.
        let answer = timeout(ANSWER, request()).await;
        let answer = answer.unwrap_or_else(|late| Err(kube::Error::Service(late.into())));
        match answer {
            Err(error) if may_pass(&error) && Instant::now() < end && !cancel.is_cancelled() => {
                sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

/// Whether the same request may be answered otherwise a moment later.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code >= 500 || status.code == 429,
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// A client for a cluster, once its API server answers: it may just have been started again.
pub async fn answering(
    engine: &Engine,
    way: &Way,
    cancel: &CancellationToken,
) -> Result<Client, Error> {
    let client = client(&kubeconfig(engine, way).await?)?;
    let asking = async {
        let mut last = None;
        let answered = timeout(PATIENCE, async {
            while let Err(error) = client.apiserver_version().await {
                last = Some(error);
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        answered.map_err(|_| {
            let doing = format!("reach the API server by {}", way.publisher);
            match last {
                Some(error) => Error::other(doing, error),
                None => Error::message(format!("cannot {doing}: it does not answer")),
            }
        })
    };
    tokio::select! {
        result = asking => result?,
        () = cancel.cancelled() => return Err(Error::Interrupted { after: String::new() }),
    }
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use std::cell::Cell;

    fn refused(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure("no", "Test").with_code(code)))
    }

    /// How often a request is made that fails until the third time, and whether that was well.
    async fn made(cancel: &CancellationToken, error: impl Fn() -> kube::Error) -> (u32, bool) {
        let made = Cell::new(0);
        let answered = again(AGREEING, cancel, async || {
            made.set(made.get() + 1);
            if made.get() == 3 {
                return Ok(());
            }
            Err(error())
        });
        let answered = answered.await.is_ok();
        (made.get(), answered)
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again() {
        let cancel = CancellationToken::new();
        for code in [429, 500, 503, 504] {
            assert_eq!(made(&cancel, || refused(code)).await, (3, true), "{code}");
        }
        for code in [403, 404, 409, 422] {
            assert_eq!(made(&cancel, || refused(code)).await, (1, false), "{code}");
        }
        let lost = || kube::Error::Service("connection closed".into());
        assert_eq!(made(&cancel, lost).await, (3, true));
        cancel.cancel();
        assert_eq!(made(&cancel, lost).await, (1, false));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_has_an_end() {
        let began = Instant::now();
        let cancel = CancellationToken::new();
        let asked = again(AGREEING, &cancel, std::future::pending::<Result<(), _>>).await;
        assert!(asked.is_err());
        assert!(began.elapsed() < AGREEING + ANSWER);
    }
}
