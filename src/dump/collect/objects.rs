//! What the API server has: every object but secrets, tables for people, events by time, and how it is itself.

use super::super::name::part;
use super::super::redact;
use super::super::spool::Sink;
use super::super::tables::{Events, Table};
use super::Collection;
use crate::engine::{Found, State};
use crate::error::in_one_line;
use crate::inventory::way;
use crate::node::access;
use crate::plan::snapshot::is_aside;
use futures_util::stream::{self, StreamExt};
use kube::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long it may take to say that it is there, on a machine that is busy with the fault.
const PROBE: Duration = Duration::from_secs(8);
/// How long one kind of object may take.
const KIND: Duration = Duration::from_secs(6);
/// So many kinds at once.
const AT_ONCE: usize = 6;
/// So many objects at a time: no more are held.
const PAGE: usize = 500;

/// What is asked for as text.
const TEXTS: &[(&str, &str)] = &[
    ("api/readyz.txt", "/readyz?verbose"),
    ("api/livez.txt", "/livez?verbose"),
    ("api/version.json", "/version"),
];

/// What is asked for as a table, as `kubectl get -o wide` does.
const TABLES: &[(&str, &str)] = &[
    ("api/nodes.txt", "/api/v1/nodes"),
    ("api/pods.txt", "/api/v1/pods"),
    ("api/services.txt", "/api/v1/services"),
    ("api/deployments.txt", "/apis/apps/v1/deployments"),
    ("api/daemonsets.txt", "/apis/apps/v1/daemonsets"),
    ("api/statefulsets.txt", "/apis/apps/v1/statefulsets"),
    ("api/jobs.txt", "/apis/batch/v1/jobs"),
    ("api/volumes.txt", "/api/v1/persistentvolumes"),
    ("api/claims.txt", "/api/v1/persistentvolumeclaims"),
];

/// A kind of object.
#[derive(Clone, Debug)]
struct Kind {
    /// As in `pods` or `roles.rbac.authorization.k8s.io`.
    name: String,
    /// `v1`, `apps/v1`.
    group_version: String,
    resource: String,
    /// As in `Pod`.
    word: String,
}

/// Asks the API server of these nodes for all that it has.
pub(super) async fn collect(collection: &Collection<'_>, nodes: &[Found]) {
    // Those that stand aside in a restore have the addresses of others.
    let nodes: Vec<Found> = nodes
        .iter()
        .filter(|node| !is_aside(&node.name))
        .cloned()
        .collect();
    let Some(way) = way(&nodes) else {
        return collection.failed("api", "there is no master");
    };
    let is_up = |name: &str| {
        let mut running = nodes.iter().filter(|node| node.state == State::Running);
        running.any(|node| node.name == name)
    };
    for name in [&way.master, &way.publisher] {
        if !is_up(name) {
            return collection.failed("api", format!("{name} does not run"));
        }
    }
    let connected = collection.within(PROBE, async {
        let config = access::kubeconfig(collection.engine, &way).await;
        let client = config
            .and_then(|config| access::client(&config))
            .map_err(|error| in_one_line(&error))?;
        client
            .apiserver_version()
            .await
            .map_err(|error| in_one_line(&error))?;
        Ok::<Client, String>(client)
    });
    let client = match connected.await.and_then(|connected| connected) {
        Ok(client) => client,
        Err(why) => {
            return collection.failed("api", format!("the API server does not answer: {why}"));
        }
    };
    let client = &client;
    let texts = stream::iter(TEXTS).for_each_concurrent(2, |(path, url)| {
        collection.file(path, KIND, async |sink| {
            let text = client.request_text(get(url, None)?).await;
            sink.take(text.map_err(|error| in_one_line(&error))?.as_bytes());
            Ok(())
        })
    });
    let tables = stream::iter(TABLES).for_each_concurrent(2, |(path, url)| {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
        collection.file(path, KIND, async |sink| {
            let mut table = Table::default();
            let read = collection.within(KIND, async {
                pages(client, url, Some(accept), |page| table.take(&page)).await
            });
            let read = read.await.and_then(|read| read);
            sink.take(table.text().as_bytes());
            read.and_then(|()| all_of_it(table.left_out))
        })
    });
    let lists = async {
        let kinds = collection.within(KIND, kinds(collection, client)).await;
        match kinds {
            Ok(kinds) => {
                stream::iter(kinds)
                    .for_each_concurrent(AT_ONCE, |kind| async move {
                        list(collection, client, &kind).await;
                    })
                    .await;
            }
            Err(why) => collection.failed(
                "api",
                format!("cannot tell which kinds of objects there are: {why}"),
            ),
        }
    };
    futures_util::future::join4(texts, tables, time_line(collection, client), lists).await;
}

fn get(url: &str, accept: Option<&str>) -> Result<http::Request<Vec<u8>>, String> {
    let mut request = http::Request::get(url);
    if let Some(accept) = accept {
        request = request.header(http::header::ACCEPT, accept);
    }
    request.body(Vec::new()).map_err(|error| error.to_string())
}

/// All kinds of objects that can be listed, but for secrets. Events are there twice, and taken once.
async fn kinds(collection: &Collection<'_>, client: &Client) -> Vec<Kind> {
    let mut found = Vec::new();
    let mut add =
        |group: &str, list: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList| {
            for resource in list.resources {
                let is_listed = resource.verbs.iter().any(|verb| verb == "list");
                if !is_listed
                    || resource.name.contains('/')
                    || (group.is_empty() && resource.name == "secrets")
                {
                    continue;
                }
                let name = if group.is_empty() {
                    resource.name.clone()
                } else {
                    format!("{}.{group}", resource.name)
                };
                found.push(Kind {
                    name,
                    group_version: list.group_version.clone(),
                    resource: resource.name,
                    word: resource.kind,
                });
            }
        };
    match client.list_core_api_resources("v1").await {
        Ok(list) => add("", list),
        Err(error) => collection.failed("api", in_one_line(&error)),
    }
    let groups = match client.list_api_groups().await {
        Ok(groups) => groups.groups,
        Err(error) => {
            collection.failed("api", in_one_line(&error));
            return found;
        }
    };
    for group in groups
        .into_iter()
        .filter(|group| group.name != "events.k8s.io")
    {
        let version = group
            .preferred_version
            .or_else(|| group.versions.into_iter().next());
        let Some(version) = version else {
            continue;
        };
        match client
            .list_api_group_resources(&version.group_version)
            .await
        {
            Ok(list) => add(&group.name, list),
            Err(error) => {
                collection.failed("api", format!("{}: {}", group.name, in_one_line(&error)));
            }
        }
    }
    found
}

/// Where the objects of a kind are.
fn url(group_version: &str, resource: &str) -> String {
    let api = if group_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    format!("/{api}/{group_version}/{resource}")
}

/// Asks for all of a list, a page at a time.
async fn pages(
    client: &Client,
    url: &str,
    accept: Option<&str>,
    mut take: impl FnMut(Value),
) -> Result<(), String> {
    let mut from = String::new();
    loop {
        let page = if from.is_empty() {
            format!("{url}?limit={PAGE}")
        } else {
            format!("{url}?limit={PAGE}&continue={from}")
        };
        let list: Value = client
            .request(get(&page, accept)?)
            .await
            .map_err(|error| in_one_line(&error))?;
        let next = list["metadata"]["continue"].as_str().unwrap_or_default();
        next.clone_into(&mut from);
        take(list);
        if from.is_empty() {
            return Ok(());
        }
    }
}

fn all_of_it(left_out: usize) -> Result<(), String> {
    if left_out == 0 {
        return Ok(());
    }
    Err(format!("there are too many: {left_out} are left out"))
}

/// Writes all objects of a kind, a file for each namespace.
async fn list(collection: &Collection<'_>, client: &Client, kind: &Kind) {
    let Ok(_turn) = collection.gate.acquire().await else {
        return;
    };
    let mut files = Files::default();
    let written = {
        let url = url(&kind.group_version, &kind.resource);
        let writing = pages(client, &url, None, |mut list| {
            if let Value::Array(items) = list["items"].take() {
                for item in items {
                    files.write(collection, kind, item);
                }
            }
        });
        collection.within(KIND, writing).await
    };
    if let Err(why) = written.and_then(|written| written) {
        collection.failed(&format!("api/{}", kind.name), why);
    }
    for (path, sink) in files.sinks {
        collection.ended(&path, sink, None);
    }
}

/// The files of a kind. Only the one that was written last is open: there may be more namespaces than a process may have
/// files open, and objects come sorted by them.
#[derive(Default)]
struct Files<'c> {
    sinks: BTreeMap<String, Sink<'c>>,
    open: String,
}

impl<'c> Files<'c> {
    fn write(&mut self, collection: &'c Collection<'_>, kind: &Kind, mut item: Value) {
        let place = match item["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("namespaces/{}", part(namespace)),
            None => "cluster".to_owned(),
        };
        let path = format!("api/{place}/{}.yaml", part(&kind.name));
        if let Some(metadata) = item.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        redact::object(&mut item);
        // Lists leave both out of their items.
        item["apiVersion"] = kind.group_version.clone().into();
        item["kind"] = kind.word.clone().into();
        let text = serde_yaml::to_string(&item).unwrap_or_else(|error| format!("# {error}\n"));
        if self.open != path {
            if let Some(sink) = self.sinks.get_mut(&self.open) {
                sink.rest();
            }
            self.open.clone_from(&path);
        }
        if !self.sinks.contains_key(&path) {
            match collection.spool.file(&path) {
                Ok(sink) => drop(self.sinks.insert(path.clone(), sink)),
                Err(error) => return collection.unwritten(&path, error),
            }
        }
        if let Some(sink) = self.sinks.get_mut(&path) {
            sink.take(b"---\n");
            sink.take(text.as_bytes());
        }
    }
}

/// Writes what has happened, in its order.
async fn time_line(collection: &Collection<'_>, client: &Client) {
    collection
        .file("api/events.txt", KIND, async |sink| {
            let mut events = Events::default();
            let read = collection.within(KIND, async {
                pages(client, &url("v1", "events"), None, |page| {
                    events.take(&page);
                })
                .await
            });
            let read = read.await.and_then(|read| read);
            sink.take(events.text().as_bytes());
            read.and_then(|()| all_of_it(events.left_out))
        })
        .await;
}
