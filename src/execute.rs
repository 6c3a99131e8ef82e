//! Carries a plan out: stages to effects and events.

mod cluster;
mod images;
pub mod members;
mod overlay;
pub mod snapshot;
pub mod transfer;

use crate::cluster::ClusterSpec;
use crate::drain::Drain;
use crate::engine::{Engine, EngineError, Facts, Rights};
use crate::error::Error;
use crate::image::{ImageInputs, ImagePlan};
use crate::node::access::Way;
use crate::node::files::Etcd;
use crate::node::phases;
use crate::pki::{Authority, PkiFile};
use crate::plan::{Stage, Step};
use crate::report::{Event, Reporter};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long stages took, in the order in which they ran.
pub type Times = Vec<(String, Duration)>;

/// What is made: images alone, or a cluster of them.
#[derive(Debug)]
pub struct Work<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// What the engine says of itself.
    pub facts: &'a Facts,
    /// What the images are made of.
    pub inputs: &'a ImageInputs,
    /// The images' names.
    pub images: &'a ImagePlan,
    /// Proxy variables for builds and nodes.
    pub proxies: &'a [(String, String)],
    /// Go's own settings (GOPROXY and the like) for builds.
    pub go_environment: &'a [(String, String)],
    /// Where downloads are kept between runs.
    pub downloads: PathBuf,
    /// The end of this token is the end of the run.
    pub cancel: &'a CancellationToken,
    /// Where events go.
    pub reporter: &'a Reporter,
    /// The output of kubeadm is wanted too: it has to be fetched from the nodes.
    pub show_output: bool,
}

/// What a cluster's nodes are made with, beyond the plan: secrets, and what the image tells.
#[derive(Debug)]
pub struct Making<'a> {
    /// The cluster.
    pub spec: &'a ClusterSpec,
    /// The certificates and keys of each master that is made, by its name.
    pub masters: BTreeMap<String, Vec<PkiFile>>,
    /// Signs the workers' certificates; none where no node is made.
    pub authority: Option<Authority>,
    /// How the cluster is reached.
    pub way: Way,
    /// What the engine can give a container.
    pub rights: Rights,
    /// The port of the API server that is tried first: the one that a snapshot's cluster had.
    pub port: Option<u16>,
    /// What is allowed where nodes are drained.
    pub drain: Drain,
}

/// Runs stages one after another; gives the time of each.
///
/// A stage's steps run side by side and all settle before it ends: a request that was dropped may still take effect.
pub async fn run(
    stages: &[Stage],
    work: &Work<'_>,
    making: Option<&Making<'_>>,
    times: &mut Times,
) -> Result<(), Error> {
    for stage in stages {
        if work.cancel.is_cancelled() {
            return Err(interrupted(times));
        }
        let title = stage_title(stage);
        let began = Instant::now();
        work.reporter.send(Event::StageStarted {
            stage: title.clone(),
        });
        let mut running: FuturesUnordered<_> = stage
            .steps
            .iter()
            .map(|step| one(step, &title, work, making))
            .collect();
        let mut failures = Vec::new();
        while let Some(result) = running.next().await {
            failures.extend(result.err());
        }
        let took = began.elapsed();
        work.reporter.send(Event::StageFinished {
            stage: title.clone(),
            took,
            ok: failures.is_empty(),
        });
        times.push((title.clone(), took));
        if work.cancel.is_cancelled() && !failures.is_empty() {
            times.pop();
            return Err(interrupted(times));
        }
        if !failures.is_empty() {
            let source = Box::new(failures.remove(0));
            return Err(Error::Stage {
                stage: title.clone(),
                source,
                others: failures,
            });
        }
    }
    Ok(())
}

/// A stage that builds one module is named after it: several follow each other.
fn stage_title(stage: &Stage) -> String {
    match stage.steps.as_slice() {
        [Step::BuildPrograms(programs)] => programs.component.name.to_owned(),
        _ => stage.title.to_owned(),
    }
}

/// Runs something that is not in a plan as a stage of its own.
pub async fn stage<T>(
    title: &str,
    reporter: &Reporter,
    times: &mut Times,
    doing: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let began = Instant::now();
    let stage = title.to_owned();
    reporter.send(Event::StageStarted {
        stage: stage.clone(),
    });
    let result = doing.await;
    let took = began.elapsed();
    reporter.send(Event::StageFinished {
        stage: stage.clone(),
        took,
        ok: result.is_ok(),
    });
    let done = result.map_err(|source| match source {
        Error::Interrupted { .. } => interrupted(times),
        source => Error::Stage {
            stage: stage.clone(),
            source: Box::new(source),
            others: Vec::new(),
        },
    })?;
    times.push((stage, took));
    Ok(done)
}

/// The end of a run that was asked to stop, after the last stage that was finished.
pub fn interrupted(times: &Times) -> Error {
    Error::Interrupted {
        after: times
            .last()
            .map(|(stage, _)| stage.clone())
            .unwrap_or_default(),
    }
}

async fn one(
    step: &Step,
    stage: &str,
    work: &Work<'_>,
    making: Option<&Making<'_>>,
) -> Result<(), Error> {
    let (stage, text) = (stage.to_owned(), step.to_string());
    let began = Instant::now();
    work.reporter.send(Event::StepStarted {
        stage: stage.clone(),
        step: text.clone(),
    });
    let result = perform(step, work, making).await;
    let ok = result.is_ok();
    work.reporter.send(Event::StepFinished {
        stage,
        step: text,
        took: began.elapsed(),
        ok,
    });
    result
}

async fn perform(step: &Step, work: &Work<'_>, making: Option<&Making<'_>>) -> Result<(), Error> {
    let making = || making.ok_or_else(|| Error::message("there is no cluster in this run"));
    match step {
        Step::ObtainBase => images::obtain_base(work).await,
        Step::BuildBuilder => images::build_builder(work).await,
        Step::BuildNodeBase => images::build_node_base(work).await,
        Step::BuildPrograms(programs) => images::build_programs(work, programs).await,
        Step::Download(names) => overlay::download(work, names).await.map(|_| ()),
        Step::InstallPrograms => overlay::install_programs(work).await,
        Step::FillPreload => images::fill_preload(work).await,
        Step::BuildTests(image) => images::build_tests(work, image).await,
        Step::InstallTests(suite) => overlay::install_tests(work, suite).await,
        Step::AssembleTests(suite) => images::assemble_tests(work, suite).await,
        Step::RemoveNetwork(name) => plainly(step, work.engine.remove_network(name).await),
        Step::CreateNetwork => cluster::create_network(work, making()?).await,
        Step::CreateVolume(node) => cluster::create_volume(work, making()?, node).await,
        Step::RemoveNode(node) => cluster::remove_node(work, node).await,
        Step::CreateNode(node) => cluster::create_node(work, making()?, node, &Etcd::Founds).await,
        Step::JoinMaster(node) => members::join_master(work, making()?, node).await,
        Step::CreateLoadBalancer(balancer) => {
            cluster::create_load_balancer(work, making()?, balancer).await
        }
        Step::StartNode(container) => plainly(step, work.engine.start(container).await),
        Step::UnpauseNode(container) => plainly(step, work.engine.unpause(container).await),
        Step::PauseNode(container) => plainly(step, work.engine.pause(container).await),
        Step::StopNode(container) => plainly(step, work.engine.stop(container).await),
        Step::HaltNode(container) => plainly(step, work.engine.halt(container).await),
        Step::Rename { container, other } => {
            plainly(step, work.engine.rename(container, other).await)
        }
        Step::Discard(found) => plainly(step, snapshot::discard(work.engine, found).await),
        Step::DiscardVolume(volume) => plainly(step, work.engine.remove_volume(volume).await),
        Step::FillVolumes(kept) => snapshot::fill(work, making()?, kept).await,
        Step::RecreateNode(node) => cluster::recreate_node(work, making()?, node).await,
        Step::AwaitApiServer(node) => cluster::await_phases(work, node, phases::API_SERVER).await,
        Step::AwaitPhases(node) => cluster::await_phases(work, node, phases::of(node.role)).await,
        Step::ScaleDns => members::scale_dns(work, making()?).await,
        Step::UntaintMaster(node) => members::untaint(work, making()?, node).await,
        Step::DrainNode(node) => members::drain(work, making()?, node).await,
        Step::RetireNode(node) => members::retire(work, making()?, node).await,
        Step::RenewNode(node) => {
            members::retire(work, making()?, node).await?;
            cluster::create_volume(work, making()?, node).await
        }
    }
}

/// What there is to say of a step that is one call.
fn plainly(step: &Step, done: Result<(), EngineError>) -> Result<(), Error> {
    done.map_err(|source| Error::other(step.to_string(), source))
}

/// The rights that a node gets, found out when its image was made.
pub async fn rights(work: &Work<'_>) -> Result<Rights, Error> {
    images::rights(work).await
}

/// Labels of everything that belongs to a cluster.
pub fn cluster_labels(spec: &ClusterSpec) -> BTreeMap<String, String> {
    use crate::engine::label::{CLUSTER, ID, VERSION};
    [
        (CLUSTER, spec.names.context()),
        (ID, spec.id.to_string()),
        (VERSION, env!("CARGO_PKG_VERSION").to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
