//! Which cluster is wanted: by the settings, and by what is there of it.

use super::super::identity::Identity;
use super::super::session::Session;
use super::super::standing::{Standing, tell_change};
use crate::cli::UpArgs;
use crate::cluster::{self, ClusterSpec, KubernetesVersion, Members, SpecInput};
use crate::error::Error;
use std::collections::BTreeSet;

/// The cluster as it is wanted; all that is wrong with it is told at once.
pub(super) fn spec(
    session: &Session,
    identity: &Identity,
    version: KubernetesVersion,
    members: Members,
    balanced: bool,
    standing: &Standing,
) -> Result<ClusterSpec, Error> {
    let settings = session.settings()?;
    // Nobody sets this: a clone is one for life.
    let kept = standing.settings(identity)?.unwrap_or_default();
    let node_subnet = ClusterSpec::kept_node_subnet(&kept)
        .map_err(|problem| Error::Settings(problem.to_string().into()))?;
    let cluster = &settings.cluster;
    let input = SpecInput {
        id: identity.id,
        label: identity.label.clone(),
        members,
        balanced,
        no_dedicated: cluster.no_dedicated,
        unsafe_fast: cluster.unsafe_fast,
        version,
        cni: cluster.cni_plugin,
        pool: settings.dind.subnet,
        node_subnet,
        pod_subnet: cluster.pod_subnet,
        service_subnet: cluster.service_subnet,
        api_server_port: cluster.api_server_port,
        api_server_address: cluster.api_server_address,
    };
    ClusterSpec::new(&input)
        .map_err(|problems| Error::Settings(cluster::in_lines(&problems).into()))
}

/// How many workers were asked for by flag: a number that was asked for in passing does not change a cluster.
fn asked_for(session: &Session, arguments: &UpArgs) -> Result<Option<u16>, Error> {
    let asked = arguments.settings.has("cluster.numNodes");
    Ok(asked.then_some(session.settings()?.cluster.num_nodes))
}

/// The workers that the cluster is to have: a new one as many as are set, one that is there keeps its own unless others
/// are asked for.
fn workers(
    session: &Session,
    arguments: &UpArgs,
    standing: &Standing,
) -> Result<BTreeSet<u16>, Error> {
    let count = if standing.containers.is_empty() {
        Some(session.settings()?.cluster.num_nodes)
    } else {
        asked_for(session, arguments)?
    };
    // Of a cluster without containers only what a killed run has left is there.
    let now = if standing.containers.is_empty() {
        &BTreeSet::new()
    } else {
        &standing.members.workers
    };
    Ok(cluster::enough(now, count))
}

/// The nodes that the cluster is to have, and whether a load balancer belongs to it.
pub(super) fn members(
    session: &Session,
    arguments: &UpArgs,
    standing: &Standing,
    identity: &Identity,
) -> Result<(Members, bool), Error> {
    let workers = workers(session, arguments, standing)?;
    let set = session.settings()?.cluster.num_masters;
    let new = |count: u16| Members {
        masters: (1..=count).collect(),
        workers: workers.clone(),
    };
    let has = &standing.members.masters;
    let Some(kept) = standing.settings(identity)? else {
        return Ok((new(set), set > 1));
    };
    let balanced = cluster::is_balanced(&kept);
    let asked = arguments.settings.has("cluster.numMasters");
    // What one cannot become the other is told with all other settings that differ.
    if asked && (set > 1) != balanced {
        return Ok((new(set), set > 1));
    }
    if has.is_empty() {
        // Its workers are all that is there of it.
        let count = if (set > 1) == balanced { set } else { 3 };
        return Ok((new(if balanced { count } else { 1 }), balanced));
    }
    let flag = identity.flag();
    if asked && has.len() != usize::from(set) {
        return Err(Error::with_hint(
            format!(
                "the cluster has {} masters, and {set} are wanted",
                has.len()
            ),
            format!(
                "`local-cluster{flag} node add --master` adds one, `local-cluster{flag} node remove NODE` removes one"
            ),
        ));
    }
    let masters = has.clone();
    Ok((Members { masters, workers }, balanced))
}

/// Says what becomes of the workers of a cluster that is there, where that is not what is set.
pub(super) fn tell_workers(
    session: &Session,
    arguments: &UpArgs,
    standing: &Standing,
    spec: &ClusterSpec,
    master_stays: bool,
) -> Result<(), Error> {
    if standing.containers.is_empty() {
        return Ok(());
    }
    let (has, set) = (
        standing.members.workers.len(),
        session.settings()?.cluster.num_nodes,
    );
    if asked_for(session, arguments)?.is_some() {
        tell_change(&session.reporter, &standing.members, spec, master_stays);
    } else if has != usize::from(set) {
        session.reporter.note(format!(
            "the cluster keeps the number of its workers, {has}: `--num-nodes {set}` would change it"
        ));
    }
    Ok(())
}
