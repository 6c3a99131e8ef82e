//! What the API server has: every object but secrets, tables for people, events by time, and how it is itself.

use super::super::name::part;
use super::super::redact;
use super::super::spool::Sink;
use super::super::tables::{events, table};
use super::Collection;
use crate::engine::{Found, State};
use crate::error::in_one_line;
use crate::inventory::way;
use crate::node::access;
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
    let Some(way) = way(nodes) else {
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
        collection.file(path, KIND, async |sink| {
            let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
            let found: Value = client
                .request(get(url, Some(accept))?)
                .await
                .map_err(|error| in_one_line(&error))?;
            sink.take(table(&found).as_bytes());
            Ok(())
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
fn url(group_version: &str, resource: &str, from: &str) -> String {
    let api = if group_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    let from = if from.is_empty() {
        String::new()
    } else {
        format!("&continue={from}")
    };
    format!("/{api}/{group_version}/{resource}?limit={PAGE}{from}")
}

/// A page of objects, and where the next begins.
async fn page(client: &Client, url: &str) -> Result<(Vec<Value>, String), String> {
    let mut list: Value = client
        .request(get(url, None)?)
        .await
        .map_err(|error| in_one_line(&error))?;
    let next = list["metadata"]["continue"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let items = match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    Ok((items, next))
}

/// Writes all objects of a kind, a file for each namespace.
async fn list(collection: &Collection<'_>, client: &Client, kind: &Kind) {
    let Ok(_turn) = collection.gate.acquire().await else {
        return;
    };
    let mut sinks: BTreeMap<String, Sink<'_>> = BTreeMap::new();
    let writing = async {
        let mut from = String::new();
        loop {
            let (items, next) =
                page(client, &url(&kind.group_version, &kind.resource, &from)).await?;
            for item in items {
                write(collection, kind, item, &mut sinks);
            }
            if next.is_empty() {
                return Ok(());
            }
            from = next;
        }
    };
    let written: Result<(), String> = collection
        .within(KIND, writing)
        .await
        .and_then(|written| written);
    if let Err(why) = written {
        collection.failed(&format!("api/{}", kind.name), why);
    }
    for (path, sink) in sinks {
        match sink.finish(false) {
            Ok(false) => {}
            Ok(true) => collection.failed(&path, "it is too long: the end is left out"),
            Err(error) => collection.broke(error),
        }
    }
}

fn write<'c>(
    collection: &'c Collection<'_>,
    kind: &Kind,
    mut item: Value,
    sinks: &mut BTreeMap<String, Sink<'c>>,
) {
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
    if !sinks.contains_key(&path) {
        match collection.spool.file(&path) {
            Ok(sink) => drop(sinks.insert(path.clone(), sink)),
            Err(error) => return collection.unwritten(&path, error),
        }
    }
    if let Some(sink) = sinks.get_mut(&path) {
        sink.take(b"---\n");
        sink.take(text.as_bytes());
    }
}

/// Writes what has happened, in its order.
async fn time_line(collection: &Collection<'_>, client: &Client) {
    collection
        .file("api/events.txt", KIND, async |sink| {
            let (mut all, mut from) = (Vec::new(), String::new());
            loop {
                let (items, next) = page(client, &url("v1", "events", &from)).await?;
                all.extend(items);
                if next.is_empty() {
                    break;
                }
                from = next;
            }
            sink.take(events(&all).as_bytes());
            Ok(())
        })
        .await;
}
