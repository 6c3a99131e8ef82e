//! `snapshot save`, `list`, `restore` and `rm`, and the snapshot that `up` keeps of a fresh cluster.

use super::recovery::{everything, recover, remove_copying};
use super::session::{self, Identity, Session};
use super::standing::Standing;
use super::surroundings::Surroundings;
use super::{image, preflight, print, up};
use crate::cli::Output;
use crate::cluster::{API_SERVER_PORT, ClusterSpec, Names};
use crate::engine::{Engine, Facts, Found, State, label};
use crate::error::{Error, exit_code, in_one_line};
use crate::execute::snapshot::{Data, is_whole, save as copy};
use crate::execute::{self, Times, Work, cluster_labels_of};
use crate::image::ImagePlan;
use crate::plan;
use crate::report::Event;
use crate::signal;
use crate::snapshot::{FRESH, Origin, Snapshot, name_fault};
use futures_util::future;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

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

fn named(
    mut snapshots: BTreeMap<String, Snapshot>,
    name: &str,
    identity: &Identity,
) -> Result<Snapshot, Error> {
    let names: Vec<String> = snapshots.keys().cloned().collect();
    snapshots.remove(name).ok_or_else(|| {
        let hint = if names.is_empty() {
            format!(
                "cluster `{}` has none: `local-cluster{} snapshot save` makes one",
                identity.names.context(),
                identity.flag()
            )
        } else {
            format!("there are {}", names.join(", "))
        };
        Error::with_hint(format!("there is no snapshot `{name}`"), hint)
    })
}

fn check_name(name: &str) -> Result<(), Error> {
    name_fault(name).map_or(Ok(()), |fault| {
        Err(Error::with_hint(
            format!("`{name}` cannot be the name of a snapshot"),
            fault,
        ))
    })
}

/// Whether all of it is there.
async fn whole(engine: &Engine, snapshot: &Snapshot) -> Result<bool, Error> {
    is_whole(engine, snapshot)
        .await
        .map_err(|source| Error::other(format!("look into snapshot `{}`", snapshot.name), source))
}

/// What the commands that change something begin with.
async fn begin(
    session: &Session,
    command: &str,
) -> Result<(Engine, Facts, Identity, crate::lock::Lock), Error> {
    let engine = session.engine().await?;
    let facts = engine
        .facts()
        .await
        .map_err(|source| Error::other("use the Docker engine", source))?;
    let identity = session.identity(&engine).await?;
    let lock = session.lock(&identity)?;
    session.reporter.send(Event::RunStarted {
        command: command.to_owned(),
        cluster: Some(identity.names.context()),
    });
    Ok((engine, facts, identity, lock))
}

fn finish(session: &Session, times: Times, began: Instant, next: Vec<String>) {
    session.reporter.send(Event::Summary {
        stages: times,
        total: began.elapsed(),
    });
    session.reporter.send(Event::RunFinished {
        ok: true,
        next,
        log: None,
    });
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
    check_name(&name)?;
    let cancel = signal::watch(session.reporter.clone());
    let (engine, facts, identity, _lock) = begin(session, "snapshot save").await?;
    recover(session, &engine, &facts, &identity, &cancel).await?;
    let standing = Standing::of(&engine, &identity).await?;
    let master = standing.master().ok_or_else(|| identity.absent())?;
    if let Some(old) = of_cluster(&engine, &identity).await?.get(&name)
        && whole(&engine, old).await?
    {
        return Err(Error::with_hint(
            format!("there is a snapshot `{name}` already"),
            format!(
                "choose another name, or remove it with `local-cluster{} snapshot rm {name}`",
                identity.flag()
            ),
        ));
    }
    let spec = standing.spec(&identity, standing.workers.clone())?;
    let wanted = image::of_node(session, spec.version, master)?;
    let surroundings = Surroundings::of(session);
    let work = surroundings.work(&engine, &facts, &wanted, &cancel, &session.reporter);
    let mut times = vec![("check".to_owned(), began.elapsed())];
    keep(&work, &identity, &standing, &name, &mut times).await?;
    let next = format!(
        "local-cluster{} snapshot restore {name}  # take the cluster back to this moment",
        identity.flag()
    );
    finish(session, times, began, vec![next]);
    Ok(exit_code::OK)
}

/// Makes a snapshot of a cluster as it stands, in place of what there is of that name.
async fn keep(
    work: &Work<'_>,
    identity: &Identity,
    standing: &Standing,
    name: &str,
    times: &mut Times,
) -> Result<(), Error> {
    let engine = work.engine;
    let doing = async {
        let master = standing.master().ok_or_else(|| identity.absent())?;
        let published = engine.published(&master.name, API_SERVER_PORT).await;
        let published =
            published.map_err(|source| Error::other("find the API server's port", source))?;
        // The master comes first by its name.
        let mut nodes: Vec<(&str, &Found)> = standing
            .containers
            .iter()
            .filter_map(|found| Some((found.labels.get(label::NODE)?.as_str(), found)))
            .collect();
        nodes.sort_by_key(|(name, _)| {
            let number = name
                .rsplit('-')
                .next()
                .and_then(|number| number.parse::<u16>().ok());
            number.unwrap_or(0)
        });
        let at = OffsetDateTime::now_utc().replace_nanosecond(0);
        let of = Origin {
            at: at
                .ok()
                .and_then(|at| at.format(&Rfc3339).ok())
                .unwrap_or_default(),
            nodes: nodes.iter().map(|(name, _)| (*name).to_owned()).collect(),
            settings: standing.settings(identity)?.unwrap_or_default(),
            image: master.image.clone(),
            preload: work.images.preload.clone(),
            port: published.map(|published| published.port),
        };
        let labels = cluster_labels_of(&identity.names, identity.id);
        let snapshot = Snapshot::new(&identity.names, name, labels, of);
        engine
            .remove_volume(&snapshot.volume)
            .await
            .map_err(|source| Error::other(format!("replace snapshot `{name}`"), source))?;
        let data: Vec<Data> = nodes
            .iter()
            .filter_map(|(name, found)| {
                let volume = found.own_volumes().next()?.clone();
                let node = (*name).to_owned();
                Some(Data { node, volume })
            })
            .collect();
        let running: Vec<String> = standing
            .containers
            .iter()
            .filter(|found| found.state == State::Running)
            .map(|found| found.name.clone())
            .collect();
        let rights = execute::rights(work).await?;
        copy(work, &snapshot, &data, &running, &rights).await
    };
    let stood = execute::stage("snapshot", work.reporter, times, Box::pin(doing)).await?;
    if !stood.is_zero() {
        work.reporter.note(format!(
            "snapshot `{name}` is kept; the nodes stood still for {:.2} s",
            stood.as_secs_f64()
        ));
    }
    Ok(())
}

/// Keeps the state of a cluster that has just become ready for the first time. Where that cannot be, the cluster is ready
/// all the same.
pub(super) async fn keep_fresh(
    session: &Session,
    work: &Work<'_>,
    identity: &Identity,
    times: &mut Times,
) -> Result<(), Error> {
    if session.settings()?.cluster.skip_snapshot {
        return Ok(());
    }
    let standing = Standing::of(work.engine, identity).await?;
    if let Err(error) = keep(work, identity, &standing, FRESH, times).await {
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
            whole => whole.map_err(|source| {
                Error::other(format!("look into snapshot `{}`", snapshot.name), source)
            })?,
        };
        Ok::<_, Error>(match snapshot.refusal() {
            _ if !whole => "incomplete",
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
    let name = snapshots.keys().map(String::len).max().unwrap_or(0);
    let text = snapshots
        .values()
        .zip(states)
        .fold(String::new(), |mut text, (snapshot, state)| {
            let nodes = match snapshot.of.nodes.len() {
                1 => "1 node".to_owned(),
                count => format!("{count} nodes"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<name$}  {}  {nodes:<9}  {:<8}  {state}",
                snapshot.name,
                snapshot.of.at,
                version(snapshot)
            );
            text
        });
    print(&text)
}

/// `snapshot rm`.
pub(super) async fn remove(session: &Session, name: &str) -> Result<u8, Error> {
    let began = Instant::now();
    let (engine, _, identity, _lock) = begin(session, "snapshot rm").await?;
    let snapshot = named(of_cluster(&engine, &identity).await?, name, &identity)?;
    let refused = |source| Error::other(format!("remove snapshot `{name}`"), source);
    // What a run that was killed has left holds the volume.
    let volumes = engine
        .volumes(&identity.selector())
        .await
        .map_err(refused)?;
    remove_copying(&engine, &volumes).await.map_err(refused)?;
    engine
        .remove_volume(&snapshot.volume)
        .await
        .map_err(refused)?;
    finish(session, Times::new(), began, Vec::new());
    Ok(exit_code::OK)
}

/// `snapshot restore`.
pub(super) async fn restore(session: &Session, name: &str) -> Result<u8, Error> {
    let began = Instant::now();
    let cancel = signal::watch(session.reporter.clone());
    let (engine, facts, identity, _lock) = begin(session, "snapshot restore").await?;
    let snapshot = named(of_cluster(&engine, &identity).await?, name, &identity)?;
    recover(session, &engine, &facts, &identity, &cancel).await?;
    usable(&engine, &snapshot, &identity).await?;

    let standing = Standing::of(&engine, &identity).await?;
    let workers = Names::workers_named(snapshot.of.nodes.iter().map(String::as_str));
    let kept = &snapshot.of.settings;
    let label = identity.label.as_deref();
    let mut spec = ClusterSpec::of_fingerprint(identity.id, label, kept, workers)
        .map_err(|problems| Error::message(up::in_lines(&problems)))?;
    for node in &mut spec.nodes {
        node.volume = standing.free_volume(&node.container, &identity.names);
    }
    let networks = session::networks(&engine).await?;
    let network = networks
        .iter()
        .find(|network| network.name == spec.network.name);
    if network.is_some_and(|network| !network.subnets.contains(&spec.network.subnet)) {
        return Err(Error::with_hint(
            format!(
                "the cluster's network does not have the range {} of the snapshot",
                spec.network.subnet
            ),
            "remove the cluster with `local-cluster down` and its network with `docker network rm`, then try again",
        ));
    }
    let stages = plan::snapshot::restore(&spec, &snapshot, network.is_some(), &standing.containers);
    preflight::check_host(&facts, preflight::load(&stages, &[]), &session.reporter)?;
    preflight::check_ranges(&spec, &networks, &stages)?;

    let wanted = image::of(
        session,
        spec.version,
        &snapshot.of.image,
        &snapshot.of.preload,
    )?;
    let surroundings = Surroundings::of(session);
    let work = surroundings.work(&engine, &facts, &wanted, &cancel, &session.reporter);
    let mut times = vec![("check".to_owned(), began.elapsed())];
    let restored = up::bring_to_ready(session, &identity, &spec, &work, &stages, &mut times).await;
    // The wish to stop has been heard: what follows is not to be broken off by it again.
    let again = CancellationToken::new();
    if let Err(error) = restored {
        let back = go_back(session, &engine, &facts, &identity, &standing, &again).await;
        if let Err(also) = back {
            session.reporter.warn(
                format!(
                    "cannot go back to the cluster as it was: {}",
                    in_one_line(&also)
                ),
                Some(&format!(
                    "`local-cluster{} up` tries it again",
                    identity.flag()
                )),
            );
        }
        return Err(error);
    }
    let work = surroundings.work(&engine, &facts, &wanted, &again, &session.reporter);
    let all = everything(&engine, &identity).await?;
    execute::run(&plan::snapshot::settle(&all), &work, None, &mut times).await?;
    finish(
        session,
        times,
        began,
        vec![format!("the cluster is as it was at {}", snapshot.of.at)],
    );
    Ok(exit_code::OK)
}

/// Takes a restore back that has failed: the old nodes run again, and the kubeconfig is theirs.
async fn go_back(
    session: &Session,
    engine: &Engine,
    facts: &Facts,
    identity: &Identity,
    before: &Standing,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    recover(session, engine, facts, identity, cancel).await?;
    let ran = before
        .containers
        .iter()
        .filter(|node| node.state == State::Running);
    for node in ran {
        // Stopped, but not set aside yet. One that runs already is fine.
        engine
            .start(&node.name)
            .await
            .map_err(|source| Error::other(format!("start {} again", node.name), source))?;
    }
    if before.master().is_some() {
        session
            .reporter
            .note("the cluster is what it was before, and its nodes are starting");
    }
    Ok(())
}

/// Whether a snapshot can be brought back: by this program, from all of it, with the images that it needs.
async fn usable(engine: &Engine, snapshot: &Snapshot, identity: &Identity) -> Result<(), Error> {
    let doing = || format!("look at what snapshot `{}` needs", snapshot.name);
    if let Some(refusal) = snapshot.refusal() {
        return Err(Error::with_hint(
            refusal,
            "bring it back with the version that made it",
        ));
    }
    let image = engine
        .image_labels(&snapshot.of.image)
        .await
        .map_err(|source| Error::other(doing(), source))?;
    let preloads = engine
        .volumes(label::PRELOAD)
        .await
        .map_err(|source| Error::other(doing(), source))?;
    let missing = if image.is_none() {
        Some(("image", &snapshot.of.image))
    } else if preloads
        .iter()
        .all(|volume| volume.name != snapshot.of.preload)
    {
        Some(("volume", &snapshot.of.preload))
    } else {
        None
    };
    if let Some((kind, name)) = missing {
        return Err(Error::with_hint(
            format!(
                "snapshot `{}` needs {kind} {name}, which is gone",
                snapshot.name
            ),
            "`local-cluster image build` makes it, with the settings and the version that the cluster had",
        ));
    }
    if whole(engine, snapshot).await? {
        return Ok(());
    }
    Err(Error::with_hint(
        format!("snapshot `{}` was never completed", snapshot.name),
        format!(
            "remove it with `local-cluster{} snapshot rm {}`",
            identity.flag(),
            snapshot.name
        ),
    ))
}
