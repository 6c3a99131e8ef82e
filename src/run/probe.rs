//! Asks the engine and the API server how the cluster is, as cheaply as it can be known.

use super::health::{Answers, Seen};
use crate::engine::{Engine, Found, State};
use crate::error::{Error, in_one_line};
use crate::node::access;
use crate::{inventory, plan};
use futures_util::future;
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::api::{Api, ListParams};
use kube::client::Body;
use std::time::Duration;

/// How long the engine, and the API server, may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The engine.
    pub engine: Engine,
    /// The label by which the cluster's containers are found.
    pub selector: String,
}

impl Probe {
    /// Asks.
    pub async fn look(&self) -> Seen {
        let asking = self.engine.containers(&self.selector);
        let found = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(found) => found.map_err(|error| in_one_line(&error)),
            Err(_) => Err(too_late()),
        };
        let mut containers = match found {
            Ok(containers) => containers,
            Err(error) => {
                return Seen {
                    containers: Err(error),
                    answers: Err("it was not asked".to_owned()),
                };
            }
        };
        // They stand in for those that have their names now.
        containers.retain(|container| !plan::snapshot::is_aside(&container.name));
        let asking = ask(&self.engine, &containers);
        let answers = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(error)) => Err(in_one_line(&error)),
            Err(_) => Err(too_late()),
        };
        Seen {
            containers: Ok(containers),
            answers,
        }
    }
}

fn too_late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

async fn ask(engine: &Engine, containers: &[Found]) -> Result<Answers, Error> {
    let runs = |name: &str| {
        let mut running = containers.iter().filter(|one| one.state == State::Running);
        running.any(|one| one.name == name)
    };
    let way = inventory::way(containers).filter(|way| runs(&way.master) && runs(&way.publisher));
    let way = way.ok_or_else(|| Error::message("what publishes it does not run"))?;
    // Read each time: the cluster may have been made anew meanwhile.
    let client = access::client(&access::kubeconfig(engine, &way).await?)?;
    let (nodes, pods) = (
        Api::<Node>::all(client.clone()),
        Api::<Pod>::all(client.clone()),
    );
    let all = ListParams::default();
    let listed = async {
        let both = future::try_join(nodes.list(&all), pods.list(&all)).await;
        both.map_err(|source| Error::other("list nodes and pods", source))
    };
    let ((nodes, pods), readyz) = future::try_join(listed, readyz(&client)).await?;
    Ok(Answers {
        readyz,
        nodes: nodes.items,
        pods: pods.items,
    })
}

/// What the API server says of itself, whether that is good or not.
async fn readyz(client: &Client) -> Result<String, Error> {
    let doing = "ask the API server whether it is ready";
    let request = http::Request::get("/readyz?verbose")
        .body(Body::empty())
        .map_err(|source| Error::other(doing, source))?;
    let answer = client.send(request).await;
    let answer = answer.map_err(|source| Error::other(doing, source))?;
    let body = answer.into_body().collect().await;
    let body = body.map_err(|source| Error::other(doing, source))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}
