//! `node add`, `node remove` and `node list`: the workers of a cluster that runs. What the cluster is comes from itself,
//! whatever the settings say today.

use super::inspect::{self, must_run};
use super::making::making;
use super::recovery::recover;
use super::session::{self, Identity, Session};
use super::standing::{Standing, tell_change};
use super::surroundings::Surroundings;
use super::{image, preflight, print, print_plan};
use crate::cli::{NodeAddArgs, NodeRemoveArgs, Output};
use crate::cluster::{self, ClusterSpec, MAX_WORKERS, NodeSpec};
use crate::drain::Drain;
use crate::engine::{Engine, Facts, Found, State};
use crate::error::{Error, exit_code};
use crate::execute::{self, Times};
use crate::inventory::word;
use crate::lock::Lock;
use crate::node::{access, pod_ranges};
use crate::plan::{self, Stage};
use crate::ready::{self, Patience};
use crate::signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
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
        let making = making(engine, &work, spec, stages, drain).await?;
        execute::run(stages, &work, Some(&making), &mut times).await?;
        let client = access::client(&access::kubeconfig(engine, &self.master.name).await?)?;
        let waiting = async {
            let (patience, cancel) = (Patience::NEW, &self.cancel);
            ready::wait(&client, engine, spec, nodes, patience, reporter, cancel).await?;
            pod_ranges::assign(&client, spec).await
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
    let spec = standing.spec(identity, standing.workers.clone())?;
    let observed = standing.observe(&change.engine, identity).await?;
    if !plan::is_complete(spec.master(), &observed) {
        return Err(Error::with_hint(
            format!("{} is not complete", change.master.name),
            format!(
                "finish the cluster with `local-cluster{} up`",
                identity.flag()
            ),
        ));
    }
    // What a run that was killed has left half-done is the first to be had.
    let whole = &standing.workers - &plan::unfinished(&spec, &observed);
    let room = usize::from(MAX_WORKERS) - whole.len();
    if usize::from(arguments.count) > room {
        return Err(Error::message(format!(
            "there is room for {MAX_WORKERS} workers in a cluster, and {} are there",
            whole.len()
        )));
    }
    let count = u16::try_from(whole.len()).unwrap_or(MAX_WORKERS) + arguments.count;
    let spec = standing.spec(identity, cluster::workers(&whole, Some(count)))?;
    let is_new = |node: &&NodeSpec| !whole.contains(&node.worker());
    let added: Vec<NodeSpec> = spec.workers().filter(is_new).cloned().collect();
    tell_change(&session.reporter, &whole, &spec, true);
    let stages = plan::addition(&spec, &added, &observed);
    change
        .carry_out(session, &spec, &stages, Drain::default(), &added)
        .await
}

/// `node remove`.
pub(super) async fn remove(session: &Session, arguments: &NodeRemoveArgs) -> Result<u8, Error> {
    let change = Change::begin(session, "node remove", arguments.dry_run).await?;
    let (standing, identity) = (&change.standing, &change.identity);
    let before = standing.spec(identity, standing.workers.clone())?;
    let gone = named(&before, &arguments.nodes, identity)?;
    let left = standing
        .workers
        .iter()
        .filter(|worker| !gone.contains(*worker));
    let spec = standing.spec(identity, left.copied().collect())?;
    let is_gone = |node: &&NodeSpec| gone.contains(&node.worker());
    let gone: Vec<NodeSpec> = before.workers().filter(is_gone).cloned().collect();
    tell_change(&session.reporter, &standing.workers, &spec, true);
    let observed = standing.states();
    let stages = plan::removal(&spec, &gone, &observed);
    let drain = Drain {
        patience: Duration::from_secs(arguments.timeout),
        force: arguments.force,
    };
    // Nodes that do not run were not ready before, either.
    let runs = |node: &&NodeSpec| {
        let found = observed.nodes.get(&node.container);
        found.is_some_and(|found| found.state == State::Running)
    };
    let running: Vec<NodeSpec> = spec.nodes.iter().filter(runs).cloned().collect();
    change
        .carry_out(session, &spec, &stages, drain, &running)
        .await
}

/// The numbers of the workers with these names, be they the nodes' or their containers'.
fn named(
    spec: &ClusterSpec,
    names: &[String],
    identity: &Identity,
) -> Result<BTreeSet<u16>, Error> {
    let number = |name: &String| {
        let is_meant = |node: &&NodeSpec| node.name == *name || node.container == *name;
        if is_meant(&spec.master()) {
            return Err(Error::with_hint(
                format!("{name} cannot be removed: it runs the control plane"),
                format!("`local-cluster{} down` removes all nodes", identity.flag()),
            ));
        }
        let found = spec.workers().find(is_meant);
        found.map(NodeSpec::worker).ok_or_else(|| {
            let workers: Vec<&str> = spec.workers().map(|node| node.name.as_str()).collect();
            let hint = match workers.as_slice() {
                [] => "the cluster has no workers".to_owned(),
                workers => format!("its workers are {}", workers.join(", ")),
            };
            Error::with_hint(format!("there is no worker `{name}`"), hint)
        })
    };
    names.iter().map(number).collect()
}

/// `node list`.
pub(super) async fn list(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let standing = Standing::of(&engine, &identity).await?;
    if standing.containers.is_empty() {
        return Err(identity.absent());
    }
    let spec = standing.spec(&identity, standing.workers.clone())?;
    let (_, ready) = inspect::ask(&engine, &standing.containers).await;
    let mut rows = Vec::new();
    for node in &spec.nodes {
        let mut containers = standing.containers.iter();
        let found = containers.find(|found| found.name == node.container);
        let state = found.map_or("missing", |found| word(found.state));
        rows.push((node, state, inspect::is_ready(&node.name, found, &ready)));
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
    let name = longest(spec.nodes.iter().map(|node| &node.name));
    let container = longest(spec.nodes.iter().map(|node| &node.container));
    // In a clone, these are not what the host can reach.
    let from_host = |node: &NodeSpec| {
        if spec.network.is_clone() {
            format!("{:<15}  ", node.docker_address)
        } else {
            String::new()
        }
    };
    let text = rows
        .iter()
        .fold(String::new(), |mut text, (node, state, ready)| {
            let (role, subnet) = (node.role.as_str(), node.pod_subnet.to_string());
            let ready = inspect::ready_word(*ready);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<name$}  {role:<6}  {:<container$}  {:<15}  {}{subnet:<18}  {state:<8}  {ready}",
                node.name,
                node.container,
                node.address,
                from_host(node),
            );
            text
        });
    print(&text)
}

fn longest<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.map(String::len).max().unwrap_or(0)
}
