//! `snapshot save`, `list` and `rm`, and the snapshot that `up` keeps of a fresh cluster.

use super::identity::Identity;
use super::recovery::{recover, remove_copying};
use super::session::{self, Session};
use super::standing::Standing;
use super::surroundings::Surroundings;
use super::table::table;
use super::{image, print};
use crate::cli::Output;
use crate::cluster::{API_SERVER_PORT, ClusterSpec};
use crate::engine::{Engine, EngineError, Facts, State};
use crate::error::{Error, exit_code, in_one_line};
use crate::execute::snapshot::{is_whole, save as copy};
use crate::execute::{self, Times, Work, cluster_labels};
use crate::image::ImagePlan;
use crate::signal;
use crate::snapshot::{FRESH, Origin, Snapshot};
use futures_util::future;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The snapshots of a cluster, by name.
pub(super) async fn of_cluster(
    engine: &Engine,
    identity: &Identity,
) -> Result<BTreeMap<String, Snapshot>, Error> {
    let volumes = engine.volumes(&identity.selector()).await;
    let volumes = volumes.map_err(|source| identity.not_found(source))?;
    let snapshots = volumes.iter().filter_map(Snapshot::read);
    Ok(snapshots
        .map(|snapshot| (snapshot.name.clone(), snapshot))
        .collect())
}

pub(super) fn named(
    mut snapshots: BTreeMap<String, Snapshot>,
    name: &str,
    identity: &Identity,
) -> Result<Snapshot, Error> {
    let names: Vec<String> = snapshots.keys().cloned().collect();
    snapshots.remove(name).ok_or_else(|| {
        let hint = if names.is_empty() {
            format!(
                "cluster `{}` has none; `local-cluster{} snapshot save` makes one of a cluster that is there",
                identity.names.context(),
                identity.flag()
            )
        } else {
            format!("there are {}", names.join(", "))
        };
        Error::with_hint(format!("there is no snapshot `{name}`"), hint)
    })
}

/// Whether all of it is there.
pub(super) async fn whole(engine: &Engine, snapshot: &Snapshot) -> Result<bool, Error> {
    let whole = is_whole(engine, snapshot).await;
    whole.map_err(|source| unseen(snapshot, source))
}

/// Whether it may be replaced: it is known not to be whole. Of one that nobody can look into, or that another version has
/// made, nothing is known.
pub(super) async fn is_worthless(engine: &Engine, snapshot: &Snapshot) -> Result<bool, Error> {
    if snapshot.refusal().is_some() {
        return Ok(false);
    }
    match is_whole(engine, snapshot).await {
        // It is without its image.
        Err(error) if error.status() == Some(404) => Ok(false),
        whole => Ok(!whole.map_err(|source| unseen(snapshot, source))?),
    }
}

fn unseen(snapshot: &Snapshot, source: EngineError) -> Error {
    Error::other(format!("look into snapshot `{}`", snapshot.name), source)
}

/// What the commands that change something begin with.
pub(super) async fn begin(
    session: &Session,
    command: &str,
) -> Result<(Engine, Facts, Identity, crate::lock::Lock), Error> {
    let engine = session.engine().await?;
    let facts = session::facts(&engine).await?;
    let identity = session.identity(&engine).await?;
    let lock = session.lock(&identity)?;
    session
        .reporter
        .started(command, Some(identity.names.context()));
    Ok((engine, facts, identity, lock))
}

/// `snapshot save`.
pub(super) async fn save(session: &Session, name: Option<&str>) -> Result<u8, Error> {
    let began = Instant::now();
    let now = OffsetDateTime::now_utc();
    let (date, time) = (now.date(), now.time());
    let name = name.map_or_else(
        || {
            let (hour, minute, second) = time.as_hms();
            format!("{date}-{hour:02}{minute:02}{second:02}")
        },
        str::to_owned,
    );
    let cancel = signal::watch(session.reporter.clone());
    let (engine, facts, identity, _lock) = begin(session, "snapshot save").await?;
    let standing = recover(session, &engine, &facts, &identity, &cancel).await?;
    let master = standing.master().ok_or_else(|| identity.absent())?;
    if let Some(old) = of_cluster(&engine, &identity).await?.get(&name)
        && !is_worthless(&engine, old).await?
    {
        return Err(Error::with_hint(
            format!("there is a snapshot `{name}` already"),
            format!(
                "choose another name, or remove it with `local-cluster{} snapshot rm {name}`",
                identity.flag()
            ),
        ));
    }
    let spec = standing.spec(&identity)?;
    let wanted = image::of_node(session, spec.version, master)?;
    let surroundings = Surroundings::of(session);
    let work = surroundings.work(&engine, &facts, &wanted, &cancel, &session.reporter);
    let mut times = vec![("check".to_owned(), began.elapsed())];
    keep(&work, &identity, &spec, &standing, &name, &mut times).await?;
    let next = format!(
        "local-cluster{} snapshot restore {name}  # take the cluster back to this moment",
        identity.flag()
    );
    session
        .reporter
        .finished(times, began.elapsed(), vec![next]);
    Ok(exit_code::OK)
}

/// The snapshot of a cluster as it stands; nothing of it is copied yet.
pub(super) async fn of_standing(
    work: &Work<'_>,
    identity: &Identity,
    spec: &ClusterSpec,
    standing: &Standing,
    name: &str,
) -> Result<Snapshot, Error> {
    let master = standing.master().ok_or_else(|| identity.absent())?;
    let way = standing.way().ok_or_else(|| identity.absent())?;
    let published = work.engine.published(&way.publisher, API_SERVER_PORT).await;
    let published =
        published.map_err(|source| Error::other("find the API server's port", source))?;
    let at = OffsetDateTime::now_utc().replace_nanosecond(0);
    let of = Origin {
        at: at
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .unwrap_or_default(),
        nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
        settings: standing.settings(identity)?.unwrap_or_default(),
        image: master.image.clone(),
        preload: work.images.preload.clone(),
        port: published.map(|published| published.port),
    };
    Ok(Snapshot::new(&spec.names, name, cluster_labels(spec), of))
}

/// Copies what the nodes have into a snapshot, in place of what there is of that name.
pub(super) async fn fill(
    work: &Work<'_>,
    snapshot: &Snapshot,
    spec: &ClusterSpec,
    standing: &Standing,
    times: &mut Times,
) -> Result<(), Error> {
    let doing = async {
        work.engine
            .remove_volume(&snapshot.volume)
            .await
            .map_err(|source| {
                Error::other(format!("replace snapshot `{}`", snapshot.name), source)
            })?;
        let running: Vec<String> = standing
            .containers
            .iter()
            .filter(|found| found.state == State::Running)
            .map(|found| found.name.clone())
            .collect();
        let rights = execute::rights(work).await?;
        copy(work, snapshot, &spec.nodes, &running, &rights).await
    };
    let stood = execute::stage("snapshot", work.reporter, times, Box::pin(doing)).await?;
    let kept = if snapshot.is_passing() {
        String::new()
    } else {
        format!("snapshot `{}` is kept; ", snapshot.name)
    };
    if !stood.is_zero() {
        work.reporter.note(format!(
            "{kept}the nodes stood still for {:.2} s",
            stood.as_secs_f64()
        ));
    }
    Ok(())
}

/// Makes a snapshot of a cluster as it stands, in place of what there is of that name.
async fn keep(
    work: &Work<'_>,
    identity: &Identity,
    spec: &ClusterSpec,
    standing: &Standing,
    name: &str,
    times: &mut Times,
) -> Result<(), Error> {
    let snapshot = of_standing(work, identity, spec, standing, name).await?;
    fill(work, &snapshot, spec, standing, times).await
}

/// Keeps the state of a cluster that has just become ready for the first time. Where that cannot be, the cluster is ready
/// all the same.
pub(super) async fn keep_fresh(
    session: &Session,
    work: &Work<'_>,
    identity: &Identity,
    spec: &ClusterSpec,
    times: &mut Times,
) -> Result<(), Error> {
    if session.settings()?.cluster.skip_snapshot {
        return Ok(());
    }
    let standing = Standing::of(work.engine, identity).await?;
    if let Err(error) = keep(work, identity, spec, &standing, FRESH, times).await {
        work.reporter.warn(
            format!("there is no snapshot `{FRESH}`: {}", in_one_line(&error)),
            Some(
                "the cluster is ready; after `down` it will be made anew, or use `--skip-snapshot`",
            ),
        );
    }
    Ok(())
}

/// The snapshot that stands for making the nodes of these stages: the fresh one, where it is what they would become.
pub(super) async fn to_use(
    session: &Session,
    engine: &Engine,
    images: &ImagePlan,
    identity: &Identity,
    spec: &ClusterSpec,
    standing: &Standing,
) -> Result<Option<Snapshot>, Error> {
    let reporter = &session.reporter;
    if session.settings()?.cluster.skip_snapshot || !standing.is_empty() {
        return Ok(None);
    }
    let mut snapshots = of_cluster(engine, identity).await?;
    let Some(fresh) = snapshots.remove(FRESH) else {
        return Ok(None);
    };
    let settings = spec.fingerprint();
    if !fresh.stands_for(&settings, &spec.nodes, &images.node, &images.preload) {
        reporter.note(format!(
            "snapshot `{FRESH}` is of a cluster with other settings or images: it is not used, and will be replaced"
        ));
        return Ok(None);
    }
    if !whole(engine, &fresh).await? {
        return Ok(None);
    }
    reporter.note(format!("from snapshot `{FRESH}` of {}", fresh.of.at));
    Ok(Some(fresh))
}

/// `snapshot list`.
pub(super) async fn list(session: &Session) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let snapshots = of_cluster(&engine, &identity).await?;
    let states = snapshots.values().map(|snapshot| async {
        let whole = match is_whole(&engine, snapshot).await {
            // Nobody can look into it without the image.
            Err(error) if error.status() == Some(404) => return Ok("without its image"),
            whole => whole.map_err(|source| unseen(snapshot, source))?,
        };
        Ok::<_, Error>(match snapshot.refusal() {
            _ if !whole => "incomplete",
            _ if snapshot.is_passing() => "of a clone under way",
            Some(_) => "of another version",
            None => "whole",
        })
    });
    let states = future::try_join_all(states).await?;
    let version = |snapshot: &Snapshot| {
        let version = snapshot.of.settings.get("source.kubernetesVersion");
        version.cloned().unwrap_or_default()
    };
    if session.output == Output::Json {
        let list: Vec<_> = snapshots
            .values()
            .zip(&states)
            .map(|(snapshot, state)| {
                json!({ "name": snapshot.name, "at": snapshot.of.at, "nodes": snapshot.of.nodes,
                        "kubernetesVersion": version(snapshot), "state": state })
            })
            .collect();
        let list = json!({ "cluster": identity.names.context(), "snapshots": list });
        return print(&list.to_string());
    }
    if snapshots.is_empty() {
        session.reporter.note(format!(
            "cluster `{}` has no snapshots",
            identity.names.context()
        ));
    }
    let rows = snapshots.values().zip(states).map(|(snapshot, state)| {
        vec![
            snapshot.name.clone(),
            snapshot.of.at.clone(),
            snapshot.of.nodes.len().to_string(),
            version(snapshot),
            state.to_owned(),
        ]
    });
    print(&table(
        &["SNAPSHOT", "AT", "NODES", "KUBERNETES", "STATE"],
        &rows.collect::<Vec<_>>(),
    ))
}

/// `snapshot rm`.
pub(super) async fn remove(session: &Session, name: &str) -> Result<u8, Error> {
    let began = Instant::now();
    let (engine, _, identity, _lock) = begin(session, "snapshot rm").await?;
    let snapshot = named(of_cluster(&engine, &identity).await?, name, &identity)?;
    let refused = |source| Error::other(format!("remove snapshot `{name}`"), source);
    // What a run that was killed has left holds the volume.
    let copying = remove_copying(&engine, &identity.selector()).await;
    copying.map_err(refused)?;
    engine
        .remove_volume(&snapshot.volume)
        .await
        .map_err(refused)?;
    session
        .reporter
        .finished(Times::new(), began.elapsed(), Vec::new());
    Ok(exit_code::OK)
}
