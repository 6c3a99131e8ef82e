//! The copying of nodes' data volumes into a snapshot, and back.

use crate::engine::{Engine, EngineError, Job, Mount, Rights};
use crate::error::Error;
use crate::image::context::{File, archive};
use crate::image::job_labels;
use crate::report::{Event, Reporter};
use crate::snapshot::Snapshot;
use futures_util::future;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where the job's script is.
const SCRIPT: &str = "/usr/local/lib/local-cluster/snapshot";

/// What copies are made with.
#[derive(Clone, Copy, Debug)]
pub struct Copying<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// What the engine gives to nodes: layers of containers have attributes that take the same rights to copy.
    pub rights: &'a Rights,
    /// Where events go.
    pub reporter: &'a Reporter,
    /// The end of this token is the end of the run.
    pub cancel: &'a CancellationToken,
}

/// A node whose data is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Its name in Kubernetes.
    pub node: String,
    /// Its data volume.
    pub volume: String,
}

/// How far the job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Copying,
    Copied,
    CaughtUp,
}

/// Makes a snapshot of nodes; `running` are the containers of those that run. Gives for how long those stood still.
///
/// All is copied while they run, and what has changed meanwhile while all of them are frozen: what is kept of each is of
/// the same moment, or of earlier than what another one has sent it.
pub async fn save(
    copying: Copying<'_>,
    snapshot: &Snapshot,
    nodes: &[Data],
    running: &[String],
) -> Result<Duration, Error> {
    let refused = |source| Error::other(format!("make snapshot `{}`", snapshot.name), source);
    let engine = copying.engine;
    engine
        .create_volume(&snapshot.volume, &snapshot.labels())
        .await
        .map_err(refused)?;
    let job = job(copying, "save", snapshot, nodes);
    let (told, mut progress) = watch::channel(Progress::Copying);
    let working = async {
        // The end of the job is the end of `told`: whoever waits for it waits no more.
        let told = told;
        engine.create_job(&job).await?;
        engine
            .follow_job(&job, copying.cancel, |line| {
                match line {
                    "copied" => drop(told.send(Progress::Copied)),
                    "caught up" => drop(told.send(Progress::CaughtUp)),
                    _ => {}
                }
                copying.reporter.send(Event::Output {
                    source: "snapshot".to_owned(),
                    line: line.to_owned(),
                });
            })
            .await
    };
    let freezing = async {
        if reaches(&mut progress, Progress::Copied).await.is_err() {
            return Ok(Duration::ZERO);
        }
        let began = Instant::now();
        let frozen = future::join_all(running.iter().map(|name| engine.pause(name))).await;
        let caught_up = async {
            frozen.into_iter().collect::<Result<(), EngineError>>()?;
            let sign = archive(&[File::new("run/frozen", 0o644, Vec::new())]);
            engine.upload(&job.name, sign).await?;
            // Where the job fails, that is told, and not this.
            let _ = reaches(&mut progress, Progress::CaughtUp).await;
            Ok(())
        }
        .await;
        if caught_up.is_err() {
            // It would wait for ever.
            engine.remove_container(&job.name).await?;
        }
        let thawed = future::join_all(running.iter().map(|name| engine.unpause(name))).await;
        let stood = began.elapsed();
        caught_up?;
        thawed.into_iter().collect::<Result<(), EngineError>>()?;
        Ok(stood)
    };
    let (worked, froze): (_, Result<Duration, EngineError>) = future::join(working, freezing).await;
    let removed = engine.remove_container(&job.name).await;
    let result = froze.and_then(|stood| worked.and(removed).map(|()| stood));
    if result.is_err() {
        // A part of a snapshot is none.
        let _ = engine.remove_volume(&snapshot.volume).await;
    }
    result.map_err(refused)
}

/// Fills new volumes with what a snapshot has kept of nodes.
pub async fn fill(
    copying: Copying<'_>,
    snapshot: &Snapshot,
    nodes: &[Data],
    labels: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let engine = copying.engine;
    let refused = |source| Error::other(format!("bring back snapshot `{}`", snapshot.name), source);
    for node in nodes {
        engine
            .create_volume(&node.volume, labels)
            .await
            .map_err(refused)?;
    }
    let job = job(copying, "restore", snapshot, nodes);
    let output = |line: &str| {
        copying.reporter.send(Event::Output {
            source: "snapshot".to_owned(),
            line: line.to_owned(),
        });
    };
    let worked = engine.run_job(&job, None, copying.cancel, output).await;
    let removed = engine.remove_container(&job.name).await;
    worked.and(removed).map_err(refused)
}

/// Waits until the job is so far; fails if it has ended before.
async fn reaches(
    progress: &mut watch::Receiver<Progress>,
    wanted: Progress,
) -> Result<(), watch::error::RecvError> {
    progress.wait_for(|now| *now == wanted).await.map(|_| ())
}

fn job(copying: Copying<'_>, how: &str, snapshot: &Snapshot, nodes: &[Data]) -> Job {
    let mount = |volume: &str, target: String, read_only| Mount {
        volume: volume.to_owned(),
        target,
        read_only,
    };
    let saves = how == "save";
    let mut mounts = vec![mount(&snapshot.volume, "/snapshot".to_owned(), !saves)];
    mounts.extend(
        nodes
            .iter()
            .map(|data| mount(&data.volume, format!("/nodes/{}", data.node), saves)),
    );
    let names = nodes.iter().map(|data| data.node.clone());
    Job {
        name: format!("{}.{how}", snapshot.volume),
        image: snapshot.of.image.clone(),
        command: [SCRIPT.to_owned(), how.to_owned()]
            .into_iter()
            .chain(names)
            .collect(),
        environment: Vec::new(),
        mounts,
        labels: job_labels("snapshot"),
        rights: Some(copying.rights.clone()),
        host_network: false,
    }
}
