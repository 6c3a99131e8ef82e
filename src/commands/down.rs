//! `down` and `clean`: everything is found by label, and what is gone already is fine. So a signal may end them at any moment:
//! the next one goes on where they were.

use super::e2e::TESTS_JOB;
use super::identity::Identity;
use super::recovery::remove_copying;
use super::session::Session;
use super::snapshot;
use crate::cli::CleanArgs;
use crate::cluster::Names;
use crate::engine::{Engine, EngineError, Found, State, label};
use crate::error::{Error, exit_code};
use crate::execute::snapshot::SNAPSHOT_JOB;
use crate::image::{CACHE_VOLUME, REPOSITORY};
use crate::kubeconfig;
use crate::report::Event;
use crate::snapshot::{FRESH, Snapshot};
use futures_util::future;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// `down`.
pub(super) async fn down(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let _lock = session.lock(&identity)?;
    let began = Instant::now();
    begin(session, "down", &identity);
    let fresh = fresh(session, &engine, &identity).await?;
    if !identity.containers(&engine).await?.is_empty() {
        let since = fresh.as_ref().map_or("", |_| " since it was fresh");
        session.reporter.note(format!(
            "what was done in the cluster{since} is lost, but for its snapshots: `local-cluster{} stop` keeps it",
            identity.flag()
        ));
    }
    let nodes = stage(session, "nodes", remove_nodes(&engine, &identity)).await?;
    let next = if nodes == 0 {
        vec!["the cluster was not there".to_owned()]
    } else {
        let flag = identity.flag();
        let up = match fresh {
            Some(arguments) => {
                format!(
                    "local-cluster{flag} up{arguments}  # bring it back as it was when it was fresh"
                )
            }
            None => format!("local-cluster{flag} up     # make it anew"),
        };
        vec![
            up,
            format!(
                "local-cluster{flag} clean  # remove its snapshots, network and kubeconfig too"
            ),
        ]
    };
    finish(session, began, next);
    Ok(exit_code::OK)
}

/// What `up` has to be given for the snapshot of the fresh cluster to be used; none where there is none.
async fn fresh(
    session: &Session,
    engine: &Engine,
    identity: &Identity,
) -> Result<Option<String>, Error> {
    let snapshots = snapshot::of_cluster(engine, identity).await?;
    let members = snapshots
        .get(FRESH)
        .map(|fresh| Names::members_named(fresh.of.nodes.iter().map(String::as_str)));
    let set = &session.settings()?.cluster;
    Ok(members.map(|members| {
        let flags = [
            ("--num-masters", members.masters.len(), set.num_masters),
            ("--num-nodes", members.workers.len(), set.num_nodes),
        ];
        let differ = flags
            .iter()
            .filter(|(_, count, set)| *count != usize::from(*set));
        differ.fold(String::new(), |text, (flag, count, _)| {
            format!("{text} {flag} {count}")
        })
    }))
}

/// `clean`.
pub(super) async fn clean(session: &Session, arguments: &CleanArgs) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let _lock = session.lock(&identity)?;
    let began = Instant::now();
    begin(session, "clean", &identity);
    remove_all(session, &engine, &identity).await?;
    if arguments.images || arguments.cache {
        let _images = session.lock_images(&CancellationToken::new()).await?;
        for job in stage(session, "jobs", remove_jobs(&engine)).await? {
            session.reporter.warn(
                format!("left alone, as it runs: {job}, and what it uses"),
                Some("`clean` of its cluster ends it, too"),
            );
        }
        if arguments.images {
            stage(session, "images", remove_images(&engine)).await?;
        }
        if arguments.cache {
            stage(session, "cache", async {
                engine.remove_volume(CACHE_VOLUME).await
            })
            .await?;
            let downloads = session.downloads();
            match std::fs::remove_dir_all(&downloads) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::other(
                        format!("remove {}", downloads.display()),
                        error,
                    ));
                }
                _ => {}
            }
        }
    }
    finish(session, began, Vec::new());
    Ok(exit_code::OK)
}

/// Removes all that there is of a cluster, here and on the engine.
pub(super) async fn remove_all(
    session: &Session,
    engine: &Engine,
    identity: &Identity,
) -> Result<(), Error> {
    stage(session, "nodes", remove_nodes(engine, identity)).await?;
    stage(session, "snapshots", remove_snapshots(engine, identity)).await?;
    stage(session, "network", remove_network(engine, identity)).await?;
    remove_kubeconfig(session, identity).await
}

fn begin(session: &Session, command: &str, identity: &Identity) {
    session
        .reporter
        .started(command, Some(identity.names.context()));
}

fn finish(session: &Session, began: Instant, next: Vec<String>) {
    session.reporter.finished(Vec::new(), began.elapsed(), next);
}

/// Runs a part as a stage of its own, with its time.
async fn stage<T>(
    session: &Session,
    title: &str,
    doing: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, Error> {
    let stage = title.to_owned();
    session.reporter.send(Event::StageStarted {
        stage: stage.clone(),
    });
    let began = Instant::now();
    let result = doing.await;
    let took: Duration = began.elapsed();
    session.reporter.send(Event::StageFinished {
        stage,
        took,
        ok: result.is_ok(),
    });
    result.map_err(|source| Error::other(format!("remove the {title}"), source))
}

/// Removes a cluster's containers, then their volumes; gives how many containers there were. Snapshots stay.
async fn remove_nodes(engine: &Engine, identity: &Identity) -> Result<usize, EngineError> {
    let selector = identity.selector();
    let containers = engine.containers(&selector).await?;
    let volumes = engine.volumes(&selector).await?;
    remove_copying(engine, &selector).await?;
    // What tests the cluster is in its network, which could not be removed.
    let testing = super::e2e::container(&identity.names);
    if jobs(engine).await?.iter().any(|job| job.name == testing) {
        engine.remove_container(&testing).await?;
    }
    settle(
        containers
            .iter()
            .map(|container| engine.remove_container(&container.name)),
    )
    .await?;
    settle(
        volumes
            .iter()
            .filter(|volume| !volume.labels.contains_key(label::SNAPSHOT))
            .map(|volume| engine.remove_volume(&volume.name)),
    )
    .await?;
    Ok(containers.len())
}

async fn remove_snapshots(engine: &Engine, identity: &Identity) -> Result<(), EngineError> {
    let volumes = engine.volumes(&identity.selector()).await?;
    settle(
        volumes
            .iter()
            .map(|volume| engine.remove_volume(&volume.name)),
    )
    .await
}

async fn remove_network(engine: &Engine, identity: &Identity) -> Result<(), EngineError> {
    let name = identity.names.context();
    for network in engine.networks().await? {
        if network.labels.get(label::CLUSTER) == Some(&name) {
            engine.remove_network(&network.name).await?;
        }
    }
    Ok(())
}

/// The containers of jobs. The node image was made of a job's container and has its labels, and so has all that is made of
/// it: nodes, and what keeps a preload volume.
pub(super) async fn jobs(engine: &Engine) -> Result<Vec<Found>, EngineError> {
    let mut jobs = engine.containers(label::JOB).await?;
    jobs.retain(|job| {
        !job.labels.contains_key(label::CLUSTER) && !job.labels.contains_key(label::PRELOAD)
    });
    Ok(jobs)
}

/// Removes the containers of jobs that a killed run has left behind; gives those of other clusters' tests that run.
async fn remove_jobs(engine: &Engine) -> Result<Vec<String>, EngineError> {
    let (running, left) = sorted(jobs(engine).await?);
    settle(left.iter().map(|job| engine.remove_container(job))).await?;
    Ok(running)
}

/// The names of the tests that run, and of what is left over. PURE.
fn sorted(jobs: Vec<Found>) -> (Vec<String>, Vec<String>) {
    let (mut running, mut left) = (Vec::new(), Vec::new());
    for job in jobs {
        // What copies snapshots or tests belongs to a cluster, whose lock is another. Of the tests what does not run is
        // left over.
        match job.labels.get(label::JOB).map(String::as_str) {
            Some(SNAPSHOT_JOB) => {}
            Some(TESTS_JOB) if matches!(job.state, State::Running | State::Paused) => {
                running.push(job.name);
            }
            _ => left.push(job.name),
        }
    }
    (running, left)
}

/// Removes the preload volumes and images that no cluster and no snapshot uses.
async fn remove_images(engine: &Engine) -> Result<(), EngineError> {
    let nodes = engine.containers(label::CLUSTER).await?;
    let volumes = engine.volumes(label::SNAPSHOT).await?;
    let snapshots: Vec<Snapshot> = volumes.iter().filter_map(Snapshot::read).collect();
    let of_nodes = nodes.iter().flat_map(|node| &node.volumes);
    let of_snapshots = snapshots.iter().map(|snapshot| &snapshot.of.preload);
    let used: BTreeSet<&str> = of_nodes.chain(of_snapshots).map(String::as_str).collect();
    let volumes = engine.volumes(label::PRELOAD).await?;
    for volume in volumes
        .iter()
        .filter(|volume| !used.contains(volume.name.as_str()))
    {
        // The container that says that the volume is whole has the same name.
        engine.remove_container(&volume.name).await?;
        engine.remove_volume(&volume.name).await?;
    }
    let of_nodes = nodes.iter().map(|node| node.image.as_str());
    let of_snapshots = snapshots.iter().map(|snapshot| snapshot.of.image.as_str());
    let images_in_use: BTreeSet<&str> = of_nodes.chain(of_snapshots).collect();
    let preload_jobs = engine.containers(label::PRELOAD).await?;
    let kept: BTreeSet<&str> = preload_jobs.iter().map(|job| job.image.as_str()).collect();
    let mut images: Vec<String> = engine
        .images(&format!("{REPOSITORY}/*"))
        .await?
        .into_iter()
        .map(|image| image.name)
        .collect();
    images
        .retain(|image| !images_in_use.contains(image.as_str()) && !kept.contains(image.as_str()));
    // The node image goes before the ones that it was made of.
    images.sort_by_key(|image| {
        ["/node:", "/node-base:", "/builder:", "/base:"]
            .iter()
            .position(|part| image.contains(part))
    });
    for image in images {
        match engine.remove_image(&image).await {
            // Another image that is in use was made of it.
            Err(error) if error.status() == Some(409) => {}
            result => result?,
        }
    }
    Ok(())
}

async fn remove_kubeconfig(session: &Session, identity: &Identity) -> Result<(), Error> {
    let directory = session.directory(&identity.names)?;
    for name in ["admin.conf", "kubectl", ".kubectl-of"] {
        match std::fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::other(
                    format!("remove {}", directory.join(name).display()),
                    error,
                ));
            }
            _ => {}
        }
    }
    if !identity.names.directory().is_empty() {
        // Not empty means that somebody keeps something of theirs there.
        let _ = std::fs::remove_dir(&directory);
    }
    if let Some(path) = kubeconfig::user_path(&session.environment) {
        let name = identity.names.context();
        tokio::task::spawn_blocking(move || kubeconfig::remove_from(&path, &name))
            .await
            .map_err(|source| Error::other("change the kubeconfig", source))??;
    }
    Ok(())
}

/// Waits for all, then tells the first failure.
pub(super) async fn settle(
    all: impl IntoIterator<Item = impl Future<Output = Result<(), EngineError>>>,
) -> Result<(), EngineError> {
    future::join_all(all).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_run_are_not_left_over() {
        let job = |name: &str, kind: &str, state| Found {
            name: name.to_owned(),
            labels: [(label::JOB.to_owned(), kind.to_owned())].into(),
            state,
            image: String::new(),
            volumes: Vec::new(),
        };
        let (running, left) = sorted(vec![
            job("a", TESTS_JOB, State::Running),
            job("b", TESTS_JOB, State::Exited(0)),
            job("c", TESTS_JOB, State::Created),
            job("d", "build", State::Running),
            job("e", SNAPSHOT_JOB, State::Running),
        ]);
        assert_eq!(running, ["a"]);
        assert_eq!(left, ["b", "c", "d"]);
    }
}
