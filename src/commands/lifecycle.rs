//! `stop`, `start`, `pause` and `unpause`: nothing is made and nothing is removed. What a cluster is, its own labels tell:
//! the settings of today do not matter.

use super::identity::Identity;
use super::image::{self, Wanted};
use super::recovery::recover;
use super::session::{self, Session};
use super::standing::Standing;
use super::surroundings::Surroundings;
use super::up;
use crate::cli::Nodes;
use crate::cluster::{ClusterSpec, DEFAULT_VERSION, KubernetesVersion, NodeSpec};
use crate::engine::{Engine, Facts, Found, State, label};
use crate::error::{Error, exit_code};
use crate::execute::{self, Times, Work};
use crate::lock::Lock;
use crate::node::access::{self, Way};
use crate::plan::{self, Stage, lifecycle};
use crate::ready::{self, Patience};
use crate::report::Reporter;
use crate::signal;
use std::collections::BTreeSet;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// A cluster that something is done to.
struct Target {
    engine: Engine,
    facts: Facts,
    identity: Identity,
    _lock: Lock,
    began: Instant,
    standing: Standing,
    /// The names of the containers that are meant.
    chosen: BTreeSet<String>,
    /// No node was named: the cluster as a whole is meant.
    whole: bool,
}

impl Target {
    async fn find(session: &Session, command: &str, nodes: &Nodes) -> Result<Self, Error> {
        let began = Instant::now();
        let engine = session.engine().await?;
        let identity = session.identity(&engine).await?;
        let lock = session.lock(&identity)?;
        let facts = session::facts(&engine).await?;
        let cancel = CancellationToken::new();
        let standing = recover(session, &engine, &facts, &identity, &cancel).await?;
        let containers = &standing.containers;
        if containers.is_empty() {
            return Err(identity.absent());
        }
        let named = nodes.names.iter().map(|node| {
            let found = identity.node(containers, node)?;
            Ok(found.name.clone())
        });
        let chosen: BTreeSet<String> = if nodes.names.is_empty() {
            containers.iter().map(|node| node.name.clone()).collect()
        } else {
            named.collect::<Result<_, Error>>()?
        };
        session
            .reporter
            .started(command, Some(identity.names.context()));
        Ok(Self {
            engine,
            facts,
            identity,
            _lock: lock,
            began,
            standing,
            chosen,
            whole: nodes.names.is_empty(),
        })
    }

    /// The containers that are meant.
    fn nodes(&self) -> Vec<&Found> {
        let chosen = |node: &&Found| self.chosen.contains(&node.name);
        self.standing.containers.iter().filter(chosen).collect()
    }

    /// Means only those nodes any more that run or are frozen, and says so of the others.
    fn leave_out_stopped(&mut self, reporter: &Reporter) {
        let stopped = |node: &&Found| !matches!(node.state, State::Running | State::Paused);
        let stopped: Vec<String> = self
            .nodes()
            .into_iter()
            .filter(stopped)
            .map(|node| node.name.clone())
            .collect();
        if stopped.is_empty() {
            return;
        }
        let start = format!("`local-cluster{} start` starts them", self.identity.flag());
        reporter.warn(
            format!("still stopped: {}", stopped.join(", ")),
            Some(&start),
        );
        self.chosen.retain(|name| !stopped.contains(name));
        self.whole = false;
    }

    /// A command for this cluster, with the nodes that this one was given.
    fn command(&self, command: &str) -> String {
        let mut text = format!("local-cluster{} {command}", self.identity.flag());
        if !self.whole {
            for node in self.nodes() {
                text.push(' ');
                text.push_str(node.labels.get(label::NODE).unwrap_or(&node.name));
            }
        }
        text
    }

    /// The cluster as it was made.
    fn spec(&self) -> Result<ClusterSpec, Error> {
        self.standing.spec(&self.identity)
    }

    /// Nothing can be ready while the control plane does not run: told before anything is touched, unless it is woken,
    /// too. Of several masters most must run, or etcd decides nothing.
    fn needs_masters(&self, spec: &ClusterSpec, wakes: fn(State) -> bool) -> Result<(), Error> {
        let runs = |container: &str| {
            let mut found = self.standing.containers.iter();
            found.any(|node| {
                let woken = self.chosen.contains(&node.name) && wakes(node.state);
                node.name == container && (node.state == State::Running || woken)
            })
        };
        let (up, down): (Vec<&NodeSpec>, Vec<&NodeSpec>) =
            spec.masters().partition(|node| runs(&node.container));
        let names = |nodes: &[&NodeSpec]| {
            let names: Vec<&str> = nodes.iter().map(|node| node.container.as_str()).collect();
            names.join(", ")
        };
        let all = up.len() + down.len();
        if self.standing.way().is_none() {
            return Err(self.incomplete());
        }
        let mut balancer = spec.load_balancer.iter();
        let missing = if !plan::is_majority(up.len(), all) {
            match all {
                1 => format!(
                    "{} does not run, and no node is ready without it",
                    names(&down)
                ),
                _ => format!(
                    "only {} of {all} masters would run, and etcd needs most of them: {} would not",
                    up.len(),
                    names(&down)
                ),
            }
        } else if let Some(balancer) = balancer.find(|found| !runs(&found.container)) {
            format!(
                "{} does not run, and no master is reached without it",
                balancer.container
            )
        } else {
            return Ok(());
        };
        Err(Error::with_hint(
            missing,
            format!(
                "start all with `local-cluster{} start`",
                self.identity.flag()
            ),
        ))
    }

    fn way(&self) -> Result<Way, Error> {
        self.standing.way().ok_or_else(|| self.identity.absent())
    }

    fn incomplete(&self) -> Error {
        Error::with_hint(
            format!(
                "something of cluster `{}` is missing or was never finished",
                self.identity.names.context()
            ),
            format!(
                "complete it with `local-cluster{} up`",
                self.identity.flag()
            ),
        )
    }

    /// Carries out what wakes nodes, and waits until they are ready: the whole cluster, or those that were named.
    async fn wake(
        &self,
        session: &Session,
        tools: &Tools,
        spec: &ClusterSpec,
        stages: &[Stage],
    ) -> Result<u8, Error> {
        let work = tools.work(self, &session.reporter);
        let mut times = vec![("check".to_owned(), self.began.elapsed())];
        if self.whole {
            let (identity, times) = (&self.identity, &mut times);
            let way = self.way()?;
            up::bring_to_ready(session, identity, spec, way, &work, stages, times).await?;
        } else {
            execute::run(stages, &work, None, &mut times).await?;
            let config = access::kubeconfig(&self.engine, &self.way()?).await?;
            let client = access::client(&config)?;
            let chosen = |node: &&NodeSpec| self.chosen.contains(&node.container);
            let nodes: Vec<NodeSpec> = spec.nodes.iter().filter(chosen).cloned().collect();
            let waiting =
                ready::wait_nodes(&client, &self.engine, &nodes, Patience::New, work.cancel);
            execute::stage("ready", &session.reporter, &mut times, waiting).await?;
        }
        self.finish(session, times, Vec::new());
        Ok(exit_code::OK)
    }

    fn finish(&self, session: &Session, times: Times, next: Vec<String>) {
        session.reporter.finished(times, self.began.elapsed(), next);
    }
}

/// What steps are carried out with. None of these commands makes an image.
struct Tools {
    surroundings: Surroundings,
    unneeded: Wanted,
    cancel: CancellationToken,
}

impl Tools {
    fn new(
        session: &Session,
        version: KubernetesVersion,
        cancel: CancellationToken,
    ) -> Result<Self, Error> {
        Ok(Self {
            surroundings: Surroundings::of(session),
            unneeded: image::unneeded(session, version)?,
            cancel,
        })
    }

    fn work<'a>(&'a self, target: &'a Target, reporter: &'a Reporter) -> Work<'a> {
        let (surroundings, cancel) = (&self.surroundings, &self.cancel);
        surroundings.work(
            &target.engine,
            &target.facts,
            &self.unneeded,
            cancel,
            reporter,
        )
    }
}

/// `stop`.
pub(super) async fn stop(session: &Session, nodes: &Nodes) -> Result<u8, Error> {
    let target = Target::find(session, "stop", nodes).await?;
    let stages = lifecycle::stop(&target.nodes());
    halt(session, &target, &stages, ("stopped", "start")).await
}

/// `pause`.
pub(super) async fn pause(session: &Session, nodes: &Nodes) -> Result<u8, Error> {
    let target = Target::find(session, "pause", nodes).await?;
    let stages = lifecycle::pause(&target.nodes());
    halt(session, &target, &stages, ("paused", "unpause")).await
}

/// Carries out what puts nodes to rest; the words are what they are then, and the command that undoes it.
///
/// A signal may end it at any moment: the next one goes on where it was.
async fn halt(
    session: &Session,
    target: &Target,
    stages: &[Stage],
    (now, back): (&str, &str),
) -> Result<u8, Error> {
    let cancel = CancellationToken::new();
    let tools = Tools::new(session, DEFAULT_VERSION, cancel)?;
    let mut times = Times::new();
    let work = tools.work(target, &session.reporter);
    execute::run(stages, &work, None, &mut times).await?;
    let rested: Vec<&str> = target
        .nodes()
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let next = if stages.is_empty() {
        format!("nothing of {} was running", rested.join(", "))
    } else {
        format!("{now}: {}", rested.join(", "))
    };
    let back = format!(
        "{}  # bring it back, with all that is in it",
        target.command(back)
    );
    target.finish(session, times, vec![next, back]);
    Ok(exit_code::OK)
}

/// `start`.
pub(super) async fn start(session: &Session, nodes: &Nodes) -> Result<u8, Error> {
    let cancel = signal::watch(session.reporter.clone());
    let target = Target::find(session, "start", nodes).await?;
    let spec = target.spec()?;
    let observed = target
        .standing
        .observe(&target.engine, &target.identity)
        .await?;
    let mut stages = plan::plan(&spec, &observed);
    if !target.whole {
        let chosen = target.chosen.iter().map(String::as_str).collect();
        stages = lifecycle::only(stages, &chosen);
    }
    if lifecycle::makes(&stages) {
        return Err(target.incomplete());
    }
    target.needs_masters(&spec, |_| true)?;
    let tools = Tools::new(session, spec.version, cancel)?;
    target.wake(session, &tools, &spec, &stages).await
}

/// `unpause`.
pub(super) async fn unpause(session: &Session, nodes: &Nodes) -> Result<u8, Error> {
    let cancel = signal::watch(session.reporter.clone());
    let mut target = Target::find(session, "unpause", nodes).await?;
    let spec = target.spec()?;
    target.needs_masters(&spec, |state| state == State::Paused)?;
    let stages = lifecycle::unpause(&target.nodes());
    // What is stopped is not thawed, and nobody waits for it.
    target.leave_out_stopped(&session.reporter);
    let tools = Tools::new(session, spec.version, cancel)?;
    target.wake(session, &tools, &spec, &stages).await
}
