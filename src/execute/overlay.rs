//! Images that are made on others by a job: with files of a release, where Kubernetes comes from one.

use super::Work;
use super::images::{LIBRARY, create_cache, output, remove_job};
use crate::e2e::suite::{RELEASED_PATH, ReleasedSuite};
use crate::engine::{Facts, Job, NO_NETWORK, Rights, label};
use crate::error::Error;
use crate::image::context::{self, File};
use crate::image::{Origin, Programs, cache_mount, mirror};
use crate::report::{Event, Unit};
use crate::source::release::{self, Fetch, Release};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The node image's entry point, as its Dockerfile has it.
pub(super) const ENTRYPOINT: &str = "/usr/local/lib/local-cluster/entrypoint";

/// Downloads files of a release into the client's cache.
pub(super) async fn download(
    work: &Work<'_>,
    names: &[&'static str],
) -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let Origin::Release { url, .. } = &work.inputs.origin else {
        return Ok(Vec::new());
    };
    let doing = || format!("download Kubernetes {} from {url}", work.inputs.version);
    let release = Release::new(
        url,
        &work.inputs.version.tag(),
        work.facts.go_architecture(),
    )
    .map_err(|source| Error::other(doing(), source))?;
    let reporter = work.reporter.clone();
    let progress = move |name: &str, done: u64, total: Option<u64>| {
        reporter.send(Event::Progress {
            item: name.to_owned(),
            done,
            total,
            unit: Unit::Bytes,
            failed: None,
        });
        if total == Some(done) {
            reporter.send(Event::ProgressFinished {
                item: name.to_owned(),
            });
        }
    };
    let client = crate::source::download::client()
        .map_err(|source| Error::other("set up downloads", source))?;
    let fetch = Fetch {
        client: &client,
        release: &release,
        cache: &work.downloads,
        progress: &progress,
        cancel: work.cancel,
    };
    let fetched = fetch.all(names).await;
    let fetched = fetched.map_err(|source| Error::other(doing(), source))?;
    Ok(fetched
        .into_iter()
        .map(|file| (file.name, file.file))
        .collect())
}

pub(super) async fn install_programs(work: &Work<'_>) -> Result<(), Error> {
    let refused = |source| Error::other(format!("make image {}", work.images.node), source);
    let rights = work
        .engine
        .probe_rights(&work.images.node_base)
        .await
        .map_err(refused)?;
    create_cache(work).await.map_err(refused)?;
    let mut command = vec![format!("{LIBRARY}/install")];
    command.extend(work.images.node_programs.iter().map(Programs::path));
    let job = Job {
        name: "local-cluster-install".to_owned(),
        image: work.images.node_base.clone(),
        command,
        environment: Vec::new(),
        mounts: vec![cache_mount(true)],
        labels: crate::image::job_labels("install"),
        rights: None,
        network: None,
    };
    let mut labels = rights_labels(&rights, work.facts);
    let mut file = None;
    if let Origin::Release { url, registry } = &work.inputs.origin {
        file = mirror::hosts_file(registry);
        labels.insert(label::RELEASE_URL.to_owned(), url.clone());
        labels.insert(label::IMAGE_REGISTRY.to_owned(), registry.clone());
    }
    let overlay = Overlay {
        image: &work.images.node,
        released: &release::BINARIES,
        file,
        labels,
        entrypoint: ENTRYPOINT,
    };
    overlay.lay(work, &job).await
}

/// An image that is made on another by a job.
struct Overlay<'a> {
    image: &'a str,
    /// Files of the release, where Kubernetes comes from one.
    released: &'a [&'static str],
    /// A file of ours.
    file: Option<File<'static>>,
    labels: BTreeMap<String, String>,
    entrypoint: &'a str,
}

impl Overlay<'_> {
    /// Brings the files into the job's container, runs it, and makes an image of what it leaves.
    async fn lay(&self, work: &Work<'_>, job: &Job) -> Result<(), Error> {
        let refused = |source| Error::other(format!("make image {}", self.image), source);
        let result = async {
            work.engine.create_job(job).await.map_err(refused)?;
            if let Some(file) = &self.file {
                let files = context::archive(std::slice::from_ref(file));
                let uploaded = work.engine.upload(&job.name, files).await;
                uploaded.map_err(refused)?;
            }
            for (name, path) in download(work, self.released).await? {
                upload_file(work, &job.name, name, path).await?;
            }
            work.engine
                .follow_job(job, work.cancel, |line| output(work, "install", line))
                .await
                .map_err(refused)?;
            let (repository, tag) = self
                .image
                .rsplit_once(':')
                .unwrap_or((self.image, "latest"));
            let (labels, entrypoint) = (&self.labels, self.entrypoint);
            work.engine
                .commit(&job.name, repository, tag, labels, entrypoint)
                .await
                .map_err(refused)
        }
        .await;
        remove_job(work, &job.name, result).await
    }
}

/// Streams one file into a container, at the place where a node has its programs.
async fn upload_file(
    work: &Work<'_>,
    container: &str,
    name: &str,
    path: PathBuf,
) -> Result<(), Error> {
    let doing = || format!("copy {} into {container}", path.display());
    let file = tokio::fs::File::open(&path)
        .await
        .map_err(|source| Error::other(doing(), source))?;
    let size = file
        .metadata()
        .await
        .map_err(|source| Error::other(doing(), source))?
        .len();
    let stream = context::stream_one(&format!("usr/local/bin/{name}"), 0o755, size, file);
    work.engine
        .upload_stream(container, stream)
        .await
        .map_err(|source| Error::other(doing(), source))
}

/// Downloads the released tests, and lays them over the image with what they call.
pub(super) async fn install_tests(work: &Work<'_>, suite: &ReleasedSuite) -> Result<(), Error> {
    let job = Job {
        name: "local-cluster-install-tests".to_owned(),
        image: suite.tools.clone(),
        command: vec![
            "/usr/local/bin/install-tests".to_owned(),
            RELEASED_PATH.to_owned(),
        ],
        environment: Vec::new(),
        mounts: Vec::new(),
        labels: crate::image::job_labels("install"),
        rights: None,
        network: Some(NO_NETWORK.to_owned()),
    };
    let overlay = Overlay {
        image: &suite.image,
        released: &release::TESTS,
        file: None,
        labels: BTreeMap::new(),
        entrypoint: "/usr/local/bin/run-tests",
    };
    overlay.lay(work, &job).await
}

/// What a node image says of the rights of its nodes.
pub(super) fn rights_labels(rights: &Rights, facts: &Facts) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::RIGHTS.to_owned(), rights.to_string()),
        (label::RIGHTS_OF.to_owned(), facts.id.clone()),
    ])
}
