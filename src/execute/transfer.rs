//! What a snapshot needs, out of the engine into a file and back.

use super::images::{known_rights, seal};
use super::overlay::{ENTRYPOINT, rights_labels};
use super::snapshot::SNAPSHOT_JOB;
use crate::engine::{Engine, EngineError, Facts, Job, Mount, NO_NETWORK, Rights, label};
use crate::image::job_labels;
use crate::snapshot::Snapshot;
use crate::snapshot::file::Kind;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use tokio_util::sync::CancellationToken;

/// Where the job's script is.
const SCRIPT: &str = "/usr/local/lib/local-cluster/archive";

/// What the label of the jobs says that have to do with what is nobody's alone, images and preload volumes: they go with
/// these where a run was killed, and work under their lock.
const IMPORT_JOB: &str = "import";

/// The databases of a containerd that was filled: no two fillings make the same.
const DATABASES: [&str; 2] = [
    "/volume/io.containerd.metadata.v1.bolt/meta.db",
    "/volume/io.containerd.snapshotter.v1.overlayfs/metadata.db",
];

/// Tells a preload volume from every other, be it of the same name: nodes have the databases of the one that they were
/// made with, and go by their numbers. A snapshot that is there already holds the volume.
pub async fn identity(
    engine: &Engine,
    snapshot: &Snapshot,
    preload: &str,
    is_there: bool,
) -> Result<String, EngineError> {
    let mut look = job(snapshot, "identity", "look", preload, true);
    if is_there {
        // So that it is known whose it is.
        look.mounts.push(mount(&snapshot.volume, "/of", true));
    } else {
        look.labels = job_labels(IMPORT_JOB);
    }
    // It never runs: what is in the volume of a container can be read all the same.
    look.rights = None;
    engine.create_job(&look).await?;
    let mut digest = Sha256::new();
    let mut result = Ok(());
    for path in DATABASES {
        match engine.read_file(&look.name, path).await {
            Ok(content) => {
                let content = content.unwrap_or_default();
                digest.update((content.len() as u64).to_be_bytes());
                digest.update(content);
            }
            Err(error) => result = Err(error),
        }
    }
    let removed = engine.remove_container(&look.name).await;
    result.and(removed)?;
    Ok(crate::source::digest::hex(&digest.finalize()))
}

/// Hands on a part of a snapshot, as a tar archive.
pub async fn write(
    engine: &Engine,
    snapshot: &Snapshot,
    kind: Kind,
    rights: &Rights,
    cancel: &CancellationToken,
    take: impl FnMut(&[u8]) -> io::Result<()> + Send,
) -> Result<(), EngineError> {
    let volume = match kind {
        Kind::Image => {
            return engine.save_image(&snapshot.of.image, cancel, take).await;
        }
        Kind::Preload => &snapshot.of.preload,
        Kind::Nodes => &snapshot.volume,
    };
    let mut job = job(snapshot, "export", "write", volume, true);
    job.rights = Some(rights.clone());
    if kind == Kind::Preload {
        // So that it is known whose it is.
        job.mounts.push(mount(&snapshot.volume, "/of", true));
    }
    let worked = engine.stream_job(&job, None, cancel, take).await;
    let removed = engine.remove_container(&job.name).await;
    worked.and(removed)
}

/// Sees to it that the node image of a snapshot says which rights nodes get here: where it was made it may have been
/// others. One that was there already may be what a run that was killed has loaded.
pub async fn settle_rights(
    engine: &Engine,
    facts: &Facts,
    snapshot: &Snapshot,
) -> Result<(), EngineError> {
    let image = &snapshot.of.image;
    let labels = engine.image_labels(image).await?.unwrap_or_default();
    if known_rights(&labels, facts).is_some() {
        return Ok(());
    }
    let labels = rights_labels(&engine.probe_rights(image).await?, facts);
    let mut base = job(snapshot, "rights", "look", &snapshot.volume, true);
    base.labels = job_labels(IMPORT_JOB);
    base.mounts.clear();
    engine.create_job(&base).await?;
    let (repository, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let made = engine
        .commit(&base.name, repository, tag, &labels, ENTRYPOINT)
        .await;
    let removed = engine.remove_container(&base.name).await;
    made.and(removed)
}

/// Fills a preload volume. Its container stays, and says that it is whole, as that of one which was made here.
pub async fn fill_preload(
    engine: &Engine,
    snapshot: &Snapshot,
    rights: &Rights,
    archive: Box<dyn Read + Send>,
    cancel: &CancellationToken,
) -> Result<(), EngineError> {
    let volume = &snapshot.of.preload;
    let version = snapshot.of.settings.get("source.kubernetesVersion");
    let labels = BTreeMap::from([(
        label::PRELOAD.to_owned(),
        version.cloned().unwrap_or_default(),
    )]);
    // What is there of it was never finished.
    engine.remove_container(volume).await?;
    engine.create_volume(volume, &labels).await?;
    let mut fill = job(snapshot, "preload", "read", volume, false);
    fill.labels = job_labels(IMPORT_JOB);
    fill.rights = Some(rights.clone());
    let filled = engine
        .stream_job(&fill, Some(archive), cancel, |_| Ok(()))
        .await;
    let removed = engine.remove_container(&fill.name).await;
    let sealed = match filled.and(removed) {
        Ok(()) => {
            let filled = Job {
                name: volume.clone(),
                labels,
                ..fill
            };
            seal(engine, filled, cancel).await
        }
        Err(error) => Err(error),
    };
    if sealed.is_err() {
        // Nothing half-made stays.
        let _ = engine.remove_container(volume).await;
        let _ = engine.remove_volume(volume).await;
    }
    sealed
}

/// Fills the volume of a snapshot; it counts as whole when all is found to be what was saved.
pub async fn fill(
    engine: &Engine,
    snapshot: &Snapshot,
    rights: &Rights,
    archive: Box<dyn Read + Send>,
    cancel: &CancellationToken,
) -> Result<(), EngineError> {
    engine.remove_volume(&snapshot.volume).await?;
    engine
        .create_volume(&snapshot.volume, &snapshot.labels())
        .await?;
    let mut job = job(snapshot, "import", "read", &snapshot.volume, false);
    job.rights = Some(rights.clone());
    let filled = engine
        .stream_job(&job, Some(archive), cancel, |_| Ok(()))
        .await;
    let accepted = match filled {
        Ok(()) => {
            let script = super::snapshot::SCRIPT.to_owned();
            job.command = vec![script, "accept".to_owned()];
            job.mounts = vec![mount(&snapshot.volume, "/snapshot", false)];
            engine.run_job(&job, None, cancel, |_| {}).await
        }
        Err(error) => Err(error),
    };
    let removed = engine.remove_container(&job.name).await;
    let result = accepted.and(removed);
    if result.is_err() {
        // A part of a snapshot is none.
        let _ = engine.remove_volume(&snapshot.volume).await;
    }
    result
}

fn mount(volume: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        volume: volume.to_owned(),
        target: target.to_owned(),
        read_only,
    }
}

/// A job that does this with a volume.
fn job(snapshot: &Snapshot, name: &str, how: &str, volume: &str, read_only: bool) -> Job {
    Job {
        name: format!("{}.{name}", snapshot.volume),
        image: snapshot.of.image.clone(),
        command: vec![SCRIPT.to_owned(), how.to_owned()],
        environment: Vec::new(),
        mounts: vec![mount(volume, "/volume", read_only)],
        labels: job_labels(SNAPSHOT_JOB),
        rights: None,
        network: Some(NO_NETWORK.to_owned()),
    }
}
