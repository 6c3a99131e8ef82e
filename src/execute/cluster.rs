//! The cluster's steps.

use super::{Making, Work, cluster_labels};
use crate::cluster::network::CLONE_MTU;
use crate::cluster::{API_SERVER_PORT, NodeSpec, Role};
use crate::engine::{EngineError, Mount, NodeContainer, Publish, label};
use crate::error::Error;
use crate::image::context::archive;
use crate::kubernetes::HostFacts;
use crate::node::{files, phases};
use crate::pki::{self, KubeletRequest, PkiFile};
use crate::report::Event;
use std::net::IpAddr;
use std::time::Instant;

pub(super) async fn create_network(work: &Work<'_>, making: &Making<'_>) -> Result<(), Error> {
    let network = &making.spec.network;
    let labels = cluster_labels(making.spec);
    work.engine
        .create_network(
            &network.name,
            network.subnet,
            network.gateway,
            network.ip_range,
            network.is_clone().then_some(CLONE_MTU),
            &labels,
        )
        .await
        .map_err(|source| {
            Error::other(
                format!(
                    "make the network of cluster {}",
                    making.spec.names.context()
                ),
                source,
            )
        })
}

pub(super) async fn create_volume(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    let labels = cluster_labels(making.spec);
    let made = work.engine.create_volume(&node.volume, &labels).await;
    made.map_err(|source| Error::other(format!("make the volume of {}", node.container), source))
}

pub(super) async fn remove_node(work: &Work<'_>, node: &NodeSpec) -> Result<(), Error> {
    let refused = |source| Error::other(format!("remove node {}", node.container), source);
    work.engine
        .remove_container(&node.container)
        .await
        .map_err(refused)?;
    work.engine
        .remove_volume(&node.volume)
        .await
        .map_err(refused)
}

pub(super) async fn create_node(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    let pki = match node.role {
        Role::Master => making.master.clone(),
        Role::Worker => worker_pki(making, node)?,
    };
    let host = HostFacts {
        cgroup_v1: work.facts.cgroup_v1,
    };
    let files = files::files(making.spec, node, host, &pki, work.proxies);
    create_volume(work, making, node).await?;
    start_new(work, making, node, archive(&files)).await
}

/// A node whose volume has all that it needs.
pub(super) async fn recreate_node(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
) -> Result<(), Error> {
    // The proxies are those of today.
    let files = [files::proxies(work.proxies)];
    start_new(work, making, node, archive(&files)).await
}

/// Makes a node's container with these files in its volume, and starts it.
async fn start_new(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
    files: Vec<u8>,
) -> Result<(), Error> {
    let doing = || format!("create node {}", node.container);
    let refused = |source| Error::other(doing(), source);
    for port in ports(making, node) {
        let container = container(work, making, node, port);
        work.engine.create_node(&container).await.map_err(refused)?;
        work.engine
            .upload(&node.container, files.clone())
            .await
            .map_err(refused)?;
        match work.engine.start(&node.container).await {
            Ok(()) => return Ok(()),
            // A taken port shows only now, and a container keeps the port that it was made with.
            Err(error) if port_is_taken(&error) && making.spec.api_server_port.is_none() => {
                work.engine
                    .remove_container(&node.container)
                    .await
                    .map_err(refused)?;
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Err(Error::with_hint(
        format!(
            "cannot {}: no port is free for the API server on {}",
            doing(),
            making.spec.api_server_address
        ),
        "name a free one with `--apiserver-port`",
    ))
}

fn worker_pki(making: &Making<'_>, node: &NodeSpec) -> Result<Vec<PkiFile>, Error> {
    let doing = || format!("issue the certificates of node {}", node.name);
    let authority = making
        .authority
        .as_ref()
        .ok_or_else(|| Error::message("there is no authority"))?;
    let request = KubeletRequest {
        node_name: &node.name,
        addresses: &[IpAddr::V4(node.address)],
        server: &files::server(making.spec),
        cluster_name: &making.spec.names.context(),
    };
    let mut files =
        pki::issue_kubelet(authority, &request).map_err(|source| Error::other(doing(), source))?;
    files.push(PkiFile {
        path: "/etc/kubernetes/pki/ca.crt".to_owned(),
        mode: 0o644,
        text: authority.cert_pem().to_owned(),
    });
    Ok(files)
}

/// The ports to try on the engine's host: none for a worker, the one that was asked for, or 6443 + N and some others.
fn ports(making: &Making<'_>, node: &NodeSpec) -> Vec<Option<u16>> {
    if node.role == Role::Worker {
        return vec![None];
    }
    let first = making.spec.preferred_port();
    if making.spec.api_server_port.is_some() {
        return vec![Some(first)];
    }
    let others = (0..5).map(|round| first + 10_000 * round);
    making.port.into_iter().chain(others).map(Some).collect()
}

fn port_is_taken(error: &EngineError) -> bool {
    let text = error.message();
    [
        "port is already allocated",
        "address already in use",
        "Ports are not available",
    ]
    .iter()
    .any(|part| text.contains(part))
}

fn container(
    work: &Work<'_>,
    making: &Making<'_>,
    node: &NodeSpec,
    port: Option<u16>,
) -> NodeContainer {
    let mut labels = cluster_labels(making.spec);
    let settings =
        serde_json::to_string(&making.spec.fingerprint()).expect("a map of texts is JSON");
    labels.insert(label::SETTINGS.to_owned(), settings);
    labels.insert(label::ROLE.to_owned(), node.role.to_string());
    labels.insert(label::NODE.to_owned(), node.name.clone());
    labels.insert(label::PRELOAD_USED.to_owned(), work.images.preload.clone());
    NodeContainer {
        name: node.container.clone(),
        hostname: node.name.clone(),
        image: work.images.node.clone(),
        labels,
        network: making.spec.network.name.clone(),
        address: node.docker_address,
        mounts: vec![
            Mount {
                volume: node.volume.clone(),
                target: "/data".to_owned(),
                read_only: false,
            },
            Mount {
                volume: work.images.preload.clone(),
                target: "/preload".to_owned(),
                read_only: true,
            },
        ],
        publish: port.map(|port| Publish {
            address: making.spec.api_server_address,
            port,
            container_port: API_SERVER_PORT,
        }),
        environment: Vec::new(),
        rights: making.rights.clone(),
    }
}

pub(super) async fn await_phases(
    work: &Work<'_>,
    node: &NodeSpec,
    names: &[&str],
) -> Result<(), Error> {
    let began = Instant::now();
    let waiting = phases::wait(work.engine, &node.container, names, work.cancel, |phase| {
        work.reporter.send(Event::StepFinished {
            stage: "kubeadm".to_owned(),
            step: format!("{}: {phase}", node.name),
            took: began.elapsed(),
            ok: true,
        });
    });
    tokio::select! {
        result = waiting => result,
        () = follow_output(work, node) => Ok(()),
    }
}

/// Shows what the phases print for as long as they are waited for; never ends by itself.
async fn follow_output(work: &Work<'_>, node: &NodeSpec) {
    if work.show_output {
        let command = phases::watching(&[
            "journalctl",
            "-f",
            "-n",
            "all",
            "-o",
            "cat",
            "-u",
            "local-cluster-phase@*",
            "-u",
            "local-cluster-api-phase@*",
        ]);
        // What is shown is a help: its failure is told by nothing but its absence.
        let _ = work
            .engine
            .exec_lines(&node.container, &command, |line| {
                work.reporter.send(Event::Output {
                    source: node.name.clone(),
                    line: line.to_owned(),
                });
            })
            .await;
    }
    std::future::pending::<()>().await;
}
