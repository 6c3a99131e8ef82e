//! `node add`, `node remove` and `node list`: the nodes of a cluster that runs. What the cluster is comes from itself,
//! whatever the settings say today.

use super::identity::Identity;
use super::kubectl::must_run;
use super::making::making;
use super::recovery::recover;
use super::session::{self, Session};
use super::standing::{Standing, tell_change, tell_even};
use super::status;
use super::surroundings::Surroundings;
use super::table::table;
use super::up::must_decide;
use super::{image, preflight, print, print_plan};
use crate::cli::{NodeAddArgs, NodeRemoveArgs, Output};
use crate::cluster::{self, ClusterSpec, MAX_MASTERS, MAX_WORKERS, Members, NodeSpec, Role};
use crate::drain::Drain;
use crate::engine::{Engine, Facts, Found, State};
use crate::error::{Error, exit_code};
use crate::execute::members::known_to_etcd;
use crate::execute::{self, Times};
use crate::inventory::word;
use crate::lock::Lock;
use crate::node::access::{self, AGREEING, Way};
use crate::node::pod_ranges;
use crate::plan::{self, Observed, Stage};
use crate::ready::{self, Patience};
use crate::signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What both commands begin with: a cluster whose master runs, and the right to change it.
struct Change {
    began: Instant,
    cancel: CancellationToken,
    engine: Engine,
    facts: Facts,
    identity: Identity,
    standing: Standing,
    master: Found,
    dry_run: bool,
    _lock: Option<Lock>,
}

impl Change {
    async fn begin(session: &Session, command: &str, dry_run: bool) -> Result<Self, Error> {
        let began = Instant::now();
        let cancel = signal::watch(session.reporter.clone());
        let engine = session.engine().await?;
        let facts = session::facts(&engine).await?;
        let identity = session.identity(&engine).await?;
        // A dry run changes nothing, and is in nobody's way.
        let lock = if dry_run {
            None
        } else {
            session
                .reporter
                .started(command, Some(identity.names.context()));
            Some(session.lock(&identity)?)
        };
        let standing = if dry_run {
            Standing::of(&engine, &identity).await?
        } else {
            recover(session, &engine, &facts, &identity, &cancel).await?
        };
        let master = standing.master().ok_or_else(|| identity.absent())?.clone();
        must_run(&identity, &master)?;
        let way = standing.way().ok_or_else(|| identity.absent())?;
        must_run(
            &identity,
            identity.node(&standing.containers, &way.publisher)?,
        )?;
        Ok(Self {
            began,
            cancel,
            engine,
            facts,
            identity,
            standing,
            master,
            dry_run,
            _lock: lock,
        })
    }

    /// Carries the plan out, and waits until these nodes and what all need works.
    async fn carry_out(
        &self,
        session: &Session,
        spec: &ClusterSpec,
        way: Way,
        stages: &[Stage],
        drain: Drain,
        nodes: &[NodeSpec],
    ) -> Result<u8, Error> {
        let (reporter, engine) = (&session.reporter, &self.engine);
        // A full host is no reason to keep nodes.
        if plan::creates(stages, None) {
            preflight::check_host(&self.facts, preflight::load(stages, &[]), reporter)?;
        }
        if self.dry_run {
            return print_plan(session, stages);
        }
        let wanted = image::of_node(session, spec.version, &self.master)?;
        let surroundings = Surroundings::of(session);
        let work = surroundings.work(engine, &self.facts, &wanted, &self.cancel, reporter);
        let mut times: Times = vec![("check".to_owned(), self.began.elapsed())];
        let making = making(engine, &work, spec, way.clone(), stages, drain).await?;
        execute::run(stages, &work, Some(&making), &mut times).await?;
        let client = access::client(&access::kubeconfig(engine, &way).await?)?;
        let waiting = async {
            let (patience, cancel) = (Patience::New, &self.cancel);
            ready::wait(&client, engine, spec, nodes, patience, reporter, cancel).await?;
            let listed = ready::list_nodes(&client, AGREEING, cancel).await?;
            pod_ranges::assign(&client, &listed, spec, cancel).await
        };
        execute::stage("ready", reporter, &mut times, waiting).await?;
        reporter.finished(times, self.began.elapsed(), Vec::new());
        Ok(exit_code::OK)
    }
}

/// `node add`.
pub(super) async fn add(session: &Session, arguments: &NodeAddArgs) -> Result<u8, Error> {
    let change = Change::begin(session, "node add", arguments.dry_run).await?;
    let (standing, identity) = (&change.standing, &change.identity);
    let spec = standing.spec(identity)?;
    if arguments.master && spec.load_balancer.is_none() {
        return Err(Error::with_hint(
            format!(
                "cluster `{}` was made for one master: its nodes and its users reach it there, and not by a load balancer",
                identity.names.context()
            ),
            format!(
                "make it anew for several: `local-cluster{flag} down`, then `local-cluster{flag} up --num-masters 3`",
                flag = identity.flag()
            ),
        ));
    }
    let observed = standing.observe(&change.engine, identity).await?;
    if !spec
        .masters()
        .any(|master| plan::is_complete(master, &observed))
    {
        return Err(Error::with_hint(
            format!("{} is not complete", change.master.name),
            format!(
                "finish the cluster with `local-cluster{} up`",
                identity.flag()
            ),
        ));
    }
    must_decide(identity, &spec, &observed)?;
    // What a run that was killed has left half-done is the first to be had.
    let unfinished = plan::unfinished(&spec, &observed);
    let mut members = standing.members.clone();
    let (of_role, unfinished, most, what) = if arguments.master {
        let masters = &mut members.masters;
        (masters, unfinished.masters, MAX_MASTERS, "masters")
    } else {
        let workers = &mut members.workers;
        (workers, unfinished.workers, MAX_WORKERS, "workers")
    };
    let whole = &*of_role - &unfinished;
    if usize::from(arguments.count) > usize::from(most) - whole.len() {
        return Err(Error::message(format!(
            "there is room for {most} {what} in a cluster, and {} are there",
            whole.len()
        )));
    }
    let count = u16::try_from(whole.len()).unwrap_or(most) + arguments.count;
    of_role.clone_from(&whole);
    let before = members.clone();
    let wanted = cluster::enough(&whole, Some(count));
    if arguments.master {
        members.masters = wanted;
    } else {
        members.workers = wanted;
    }
    let spec = standing.spec_of(identity, members)?;
    let role = if arguments.master {
        Role::Master
    } else {
        Role::Worker
    };
    let is_new = |node: &&NodeSpec| node.role == role && !whole.contains(&node.ordinal());
    let added: Vec<NodeSpec> = spec.nodes.iter().filter(is_new).cloned().collect();
    if let (true, Some(way)) = (arguments.master, standing.way()) {
        let known = timeout(KNOWING, known_to_etcd(&change.engine, &way.master)).await;
        let known = known.ok().flatten().unwrap_or_default();
        let away = plan::out_of_reach(&spec, &added, &known, &observed);
        reaches_all(&away, identity)?;
    }
    tell_change(&session.reporter, &before, &spec, true);
    tell_even(&session.reporter, &spec, identity);
    let stages = plan::addition(&spec, &added, &observed);
    let way = standing
        .way_without(&added)
        .ok_or_else(|| identity.absent())?;
    change
        .carry_out(session, &spec, way, &stages, Drain::default(), &added)
        .await
}

/// Refuses another master as long as some of those that etcd counts are away: it would take no further member. What it knows
/// of the first to be added goes before.
fn reaches_all(away: &[NodeSpec], identity: &Identity) -> Result<(), Error> {
    if away.is_empty() {
        return Ok(());
    }
    let flag = identity.flag();
    let names: Vec<&str> = away.iter().map(|node| node.name.as_str()).collect();
    Err(Error::with_hint(
        format!(
            "etcd takes no further member as long as it cannot reach {}",
            names.join(", ")
        ),
        format!(
            "`local-cluster{flag} start` starts what is stopped; what is lost for good goes with \
             `local-cluster{flag} node remove {}`",
            names.join(" ")
        ),
    ))
}

/// `node remove`.
pub(super) async fn remove(session: &Session, arguments: &NodeRemoveArgs) -> Result<u8, Error> {
    let change = Change::begin(session, "node remove", arguments.dry_run).await?;
    let (standing, identity) = (&change.standing, &change.identity);
    let mut members = standing.members.clone();
    let now = standing.spec(identity)?;
    members
        .masters
        .extend(lost_masters(&change, &now, &arguments.nodes).await?);
    let before = standing.spec_of(identity, members.clone())?;
    let gone = named(&before, &arguments.nodes, identity)?;
    let left = |all: &BTreeSet<u16>, role: Role| -> BTreeSet<u16> {
        let gone = gone.iter().filter(|node| node.role == role);
        all - &gone.map(NodeSpec::ordinal).collect()
    };
    let left = Members {
        masters: left(&members.masters, Role::Master),
        workers: left(&members.workers, Role::Worker),
    };
    let observed = standing.states();
    must_decide(identity, &now, &observed)?;
    check_masters(&before, &left, &observed, identity)?;
    let spec = standing.spec_of(identity, left)?;
    tell_change(&session.reporter, &members, &spec, true);
    if gone.iter().any(|node| node.role == Role::Master) {
        tell_even(&session.reporter, &spec, identity);
    }
    let stages = plan::removal(&spec, &gone, &observed);
    let drain = Drain {
        patience: arguments.timeout,
        force: arguments.force,
    };
    // Nodes that do not run were not ready before, either.
    let runs = |node: &&NodeSpec| is_running(node, &observed);
    let running: Vec<NodeSpec> = spec.nodes.iter().filter(runs).cloned().collect();
    let way = standing
        .way_without(&gone)
        .ok_or_else(|| identity.absent())?;
    change
        .carry_out(session, &spec, way, &stages, drain, &running)
        .await
}

/// How long a master's etcd may take to say what it knows by itself.
const KNOWING: Duration = Duration::from_secs(30);

fn is_running(node: &NodeSpec, observed: &Observed) -> bool {
    let found = observed.nodes.get(&node.container);
    found.is_some_and(|found| found.state == State::Running)
}

/// Of the nodes with these names the masters of which nothing is there any more, but which Kubernetes still knows.
async fn lost_masters(
    change: &Change,
    spec: &ClusterSpec,
    names: &[String],
) -> Result<Vec<u16>, Error> {
    let is_meant = |node: &NodeSpec| {
        let known = spec.masters().any(|master| master.name == node.name);
        !known
            && names
                .iter()
                .any(|name| *name == node.name || *name == node.container)
    };
    let meant: Vec<NodeSpec> = spec.possible_masters().filter(is_meant).collect();
    if meant.is_empty() || spec.load_balancer.is_none() {
        return Ok(Vec::new());
    }
    let Some(way) = change.standing.way() else {
        return Err(change.identity.absent());
    };
    let client = access::answering(&change.engine, &way, &change.cancel).await?;
    // It may have been lost a moment ago: what the others agree on then, they agree on a second later.
    let nodes = ready::list_nodes(&client, AGREEING, &change.cancel).await?;
    let knows = |node: &&NodeSpec| {
        let mut names = nodes.iter().map(|known| known.metadata.name.as_ref());
        names.any(|name| name == Some(&node.name))
    };
    Ok(meant.iter().filter(knows).map(NodeSpec::ordinal).collect())
}

/// Refuses what would leave the cluster without an etcd that can decide, now or afterwards.
fn check_masters(
    before: &ClusterSpec,
    left: &Members,
    observed: &Observed,
    identity: &Identity,
) -> Result<(), Error> {
    let flag = identity.flag();
    if left.masters.is_empty() {
        let names: Vec<&str> = before.masters().map(|node| node.name.as_str()).collect();
        return Err(Error::with_hint(
            format!(
                "{} cannot be removed: the control plane would be gone",
                names.join(", ")
            ),
            format!("`local-cluster{flag} down` removes all nodes"),
        ));
    }
    let running = |stays: bool| {
        let masters = before.masters().filter(|node| is_running(node, observed));
        masters
            .filter(|node| !stays || left.masters.contains(&node.ordinal()))
            .count()
    };
    let (all, rest) = (before.masters().count(), left.masters.len());
    if rest == all
        || (plan::is_majority(running(false), all) && plan::is_majority(running(true), rest))
    {
        return Ok(());
    }
    Err(Error::with_hint(
        format!(
            "of {all} masters {} run, and of the {rest} that would be left {}: etcd needs most of them",
            running(false),
            running(true)
        ),
        format!("start the others first, with `local-cluster{flag} start`"),
    ))
}

/// The nodes with these names, be they the nodes' or their containers'.
fn named(
    spec: &ClusterSpec,
    names: &[String],
    identity: &Identity,
) -> Result<Vec<NodeSpec>, Error> {
    let mut gone: Vec<NodeSpec> = Vec::new();
    for name in names {
        let is_meant = |node: &&NodeSpec| node.name == *name || node.container == *name;
        if spec.load_balancer.is_none() && is_meant(&spec.master()) {
            return Err(Error::with_hint(
                format!("{name} cannot be removed: it runs the control plane"),
                format!("`local-cluster{} down` removes all nodes", identity.flag()),
            ));
        }
        let found = spec.nodes.iter().find(is_meant).ok_or_else(|| {
            let several = spec.load_balancer.is_some();
            let all = spec.nodes.iter();
            let removable = all.filter(|node| several || node.role == Role::Worker);
            let names: Vec<&str> = removable.map(|node| node.name.as_str()).collect();
            let (what, hint) = match names.as_slice() {
                _ if several => ("node", format!("its nodes are {}", names.join(", "))),
                [] => ("worker", "the cluster has no workers".to_owned()),
                workers => ("worker", format!("its workers are {}", workers.join(", "))),
            };
            Error::with_hint(format!("there is no {what} `{name}`"), hint)
        })?;
        if !gone.contains(found) {
            gone.push(found.clone());
        }
    }
    Ok(gone)
}

/// `node list`.
pub(super) async fn list(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let standing = Standing::of(&engine, &identity).await?;
    if standing.containers.is_empty() {
        return Err(identity.absent());
    }
    let spec = standing.spec(&identity)?;
    let (_, ready) = status::ask(&engine, &standing.containers).await;
    let mut rows = Vec::new();
    for node in &spec.nodes {
        let mut containers = standing.containers.iter();
        let found = containers.find(|found| found.name == node.container);
        let state = found.map_or("missing", |found| word(found.state));
        rows.push((node, state, status::is_ready(&node.name, found, &ready)));
    }
    if session.output == Output::Json {
        let list = json!({
            "cluster": identity.names.context(),
            "problem": ready.as_ref().err(),
            "nodes": rows.iter().map(|(node, state, ready)| json!({
                "name": node.name, "role": node.role.as_str(), "container": node.container,
                "address": node.address, "hostAddress": node.docker_address, "podSubnet": node.pod_subnet, "state": state, "ready": ready,
            })).collect::<Vec<_>>(),
        });
        return print(&list.to_string());
    }
    // In a clone, the host cannot reach the others.
    let from_host = spec.network.is_clone();
    let mut headings = vec!["NAME", "ROLE", "CONTAINER", "ADDRESS"];
    headings.extend(from_host.then_some("HOST ADDRESS"));
    headings.extend(["POD SUBNET", "STATE", "READY"]);
    let rows = rows.iter().map(|(node, state, ready)| {
        let mut row = vec![
            node.name.clone(),
            node.role.as_str().to_owned(),
            node.container.clone(),
            node.address.to_string(),
        ];
        row.extend(from_host.then(|| node.docker_address.to_string()));
        let ready = status::ready_word(*ready);
        row.extend([
            node.pod_subnet.to_string(),
            (*state).to_owned(),
            ready.to_owned(),
        ]);
        row
    });
    print(&table(&headings, &rows.collect::<Vec<_>>()))
}
