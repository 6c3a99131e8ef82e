//! The images' steps.

use super::Work;
use crate::e2e::suite::BuiltSuite;
use crate::engine::{Build, Engine, EngineError, Facts, HOST_NETWORK, Job, Mount, Rights, label};
use crate::error::Error;
use crate::image::context::{self, File};
use crate::image::{CACHE_VOLUME, Origin, Programs, base, cache_mount};
use crate::report::{Event, Unit};
use crate::source::modules::extra_image;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tokio_util::sync::CancellationToken;

pub(super) const LIBRARY: &str = "/usr/local/lib/local-cluster";

pub(super) async fn obtain_base(work: &Work<'_>) -> Result<(), Error> {
    let ways = base::ways(&work.inputs.base);
    let way = base::obtain(
        work.engine,
        &work.images.base,
        &ways,
        &work.downloads,
        work.cancel,
        |line| {
            output(work, "base", line);
        },
    )
    .await
    .map_err(|source| Error::other("get the base of the node image", source))?;
    work.reporter
        .note(format!("the base of all images is {way}"));
    Ok(())
}

pub(super) async fn build_builder(work: &Work<'_>) -> Result<(), Error> {
    build(
        work,
        &work.images.builder,
        context::builder(work.inputs.ca_bundle.as_deref()),
    )
    .await
}

pub(super) async fn build_node_base(work: &Work<'_>) -> Result<(), Error> {
    build(
        work,
        &work.images.node_base,
        context::node(work.inputs.ca_bundle.as_deref()),
    )
    .await
}

pub(super) async fn build_tests(work: &Work<'_>, image: &str) -> Result<(), Error> {
    let context = context::tests(work.inputs.ca_bundle.as_deref());
    build(work, image, context).await
}

/// Assembles the images of the tests into the cache volume.
pub(super) async fn assemble_tests(work: &Work<'_>, suite: &BuiltSuite) -> Result<(), Error> {
    let job = Job {
        name: "local-cluster-assemble-tests".to_owned(),
        image: suite.image.clone(),
        command: vec![
            "/usr/local/bin/assemble-tests".to_owned(),
            suite.layout_path(),
            suite.programs.path(),
            suite.coredns.path(),
        ],
        environment: Vec::new(),
        mounts: vec![cache_mount(false)],
        labels: crate::image::job_labels("assemble-tests"),
        rights: None,
        network: None,
    };
    let mut images = Counter::new(work, "images");
    let result = work
        .engine
        .run_job(&job, None, work.cancel, |line| {
            images.take(line);
            output(work, "images", line);
        })
        .await;
    images.finish();
    let result = result.map_err(|source| Error::other("assemble the images of the tests", source));
    remove_job(work, &job.name, result).await
}

async fn build(work: &Work<'_>, tag: &str, context: Vec<u8>) -> Result<(), Error> {
    let mut arguments: BTreeMap<String, String> = work.proxies.iter().cloned().collect();
    arguments.insert("BASE".to_owned(), work.images.base.clone());
    if let Some(mirror) = &work.inputs.base.debian_mirror {
        arguments.insert("DEBIAN_MIRROR".to_owned(), mirror.clone());
    }
    let build = Build {
        tag: tag.to_owned(),
        context,
        arguments,
        labels: BTreeMap::new(),
    };
    let mut steps = Counter::new(work, tag);
    work.engine
        .build(build, work.cancel, |line| {
            // `Step 3/7 : RUN ...`
            if let Some((done, total)) = line
                .strip_prefix("Step ")
                .and_then(|rest| rest.split_whitespace().next()?.split_once('/'))
                .and_then(|(done, total)| Some((done.parse::<u64>().ok()?, total.parse().ok()?)))
            {
                steps.show(done.saturating_sub(1), Some(total));
            }
            output(work, tag, line);
        })
        .await
        .map_err(|source| Error::other(format!("build image {tag}"), source))?;
    steps.finish();
    Ok(())
}

pub(super) async fn build_programs(work: &Work<'_>, programs: &Programs) -> Result<(), Error> {
    let name = programs.component.name;
    let doing = || {
        format!(
            "build {name} {} from its Go module",
            programs.component.version
        )
    };
    create_cache(work)
        .await
        .map_err(|source| Error::other(doing(), source))?;
    let mut files = programs.component.module();
    files.push(environment(work.proxies.iter().chain(work.go_environment)));
    let job = Job {
        name: format!("local-cluster-build-{name}"),
        image: work.images.builder.clone(),
        command: programs.component.command(&programs.folder),
        environment: programs.component.environment.clone(),
        mounts: vec![cache_mount(false)],
        labels: crate::image::job_labels("build"),
        rights: None,
        network: None,
    };
    let mut packages = Counter::new(work, name);
    let (mut done, mut total) = (0, None);
    let result = work
        .engine
        .run_job(&job, Some(context::archive(&files)), work.cancel, |line| {
            match line.strip_prefix("total ") {
                Some(count) => total = count.parse().ok(),
                None if total.is_some() && !line.starts_with("go: ") => done += 1,
                None => {}
            }
            packages.show(done, total);
            output(work, name, line);
        })
        .await;
    packages.finish();
    remove_job(
        work,
        &job.name,
        result.map_err(|source| Error::other(doing(), source)),
    )
    .await
}

pub(super) async fn fill_preload(work: &Work<'_>) -> Result<(), Error> {
    let volume = &work.images.preload;
    let doing = || {
        format!(
            "unpack the images of Kubernetes {} into volume {volume}",
            work.inputs.version
        )
    };
    let refused = |source| Error::other(doing(), source);
    let labels = BTreeMap::from([(label::PRELOAD.to_owned(), work.inputs.version.to_string())]);
    work.engine
        .create_volume(volume, &labels)
        .await
        .map_err(refused)?;
    let (command, network) = match &work.inputs.origin {
        Origin::Modules => {
            let folders = work
                .images
                .node_programs
                .iter()
                .chain(&work.images.image_programs)
                .map(Programs::path);
            (
                ["assemble".to_owned()].into_iter().chain(folders).collect(),
                None,
            )
        }
        // A registry of the engine's host is reached under the same name as there.
        Origin::Release { registry, .. } => (
            vec!["pull".to_owned(), registry.clone()],
            Some(HOST_NETWORK.to_owned()),
        ),
    };
    let extras: Vec<String> = work
        .inputs
        .preload
        .iter()
        .filter_map(|name| extra_image(name, work.inputs.version))
        .collect();
    let mut variables = vec![format!("EXTRA_IMAGES={}", extras.join(" "))];
    let tests = work.images.tests.as_ref();
    variables.extend(tests.map(|tests| format!("EXTRA_LAYOUT={}", tests.layout_path())));
    let job = Job {
        name: work.images.preload_job().to_owned(),
        image: work.images.node.clone(),
        command: [format!("{LIBRARY}/preload")]
            .into_iter()
            .chain::<Vec<String>>(command)
            .collect(),
        environment: variables,
        mounts: vec![
            Mount {
                volume: volume.clone(),
                target: "/var/lib/containerd".to_owned(),
                read_only: false,
            },
            cache_mount(true),
        ],
        labels: BTreeMap::from([(label::PRELOAD.to_owned(), work.inputs.version.to_string())]),
        rights: Some(rights(work).await?),
        network,
    };
    let files = context::archive(&[environment(work.proxies.iter())]);
    let mut images = Counter::new(work, "images");
    let result = work
        .engine
        .run_job(&job, Some(files), work.cancel, |line| {
            images.take(line);
            output(work, "images", line);
        })
        .await
        .map_err(refused);
    images.finish();
    let result = match result {
        Ok(()) => seal(work.engine, job.clone(), work.cancel)
            .await
            .map_err(refused),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // Nothing half-made stays: neither the container that would say so nor the volume.
        work.engine
            .remove_container(&job.name)
            .await
            .map_err(refused)?;
        work.engine.remove_volume(volume).await.map_err(refused)?;
    }
    result
}

/// Makes the container that tells that a preload volume is whole: one of the volume's name, which is the job's, that
/// has ended well. It stays for long, and must keep nothing in use but the volume, which the job has mounted first.
pub(super) async fn seal(
    engine: &Engine,
    mut filled: Job,
    cancel: &CancellationToken,
) -> Result<(), EngineError> {
    filled.mounts.truncate(1);
    let seal = Job {
        command: vec!["/bin/true".to_owned()],
        rights: None,
        network: None,
        ..filled
    };
    engine.run_job(&seal, None, cancel, |_| {}).await
}

/// The rights that a node image says its nodes get, where it says it of this engine.
pub(super) fn known_rights(labels: &BTreeMap<String, String>, facts: &Facts) -> Option<Rights> {
    let ours = labels.get(label::RIGHTS_OF) == Some(&facts.id);
    let rights = labels.get(label::RIGHTS).filter(|_| ours)?;
    rights.parse().ok()
}

/// The rights that were found out when the node image was made. One that came from another engine, by an import that
/// was killed or by `docker load`, has that one's: then it is found out here.
pub(super) async fn rights(work: &Work<'_>) -> Result<Rights, Error> {
    let image = &work.images.node;
    let labels = work.engine.image_labels(image).await;
    let labels = labels.map_err(|source| Error::other(format!("inspect image {image}"), source))?;
    let labels = labels.ok_or_else(|| Error::message(format!("there is no image {image}")))?;
    if let Some(rights) = known_rights(&labels, work.facts) {
        return Ok(rights);
    }
    let found = work.engine.probe_rights(image).await;
    found.map_err(|source| {
        Error::other(
            format!("find out which rights the nodes of {image} get"),
            source,
        )
    })
}

/// What a job gets of the client's environment, as a file that it reads and removes. A proxy may have a password, and Docker
/// shows a container's own environment for as long as the container is kept.
fn environment<'a>(variables: impl Iterator<Item = &'a (String, String)>) -> File<'static> {
    let text = variables.fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name}={value}").expect("writing to memory does not fail");
        text
    });
    File::new("run/local-cluster-environment", 0o600, text.into_bytes())
}

pub(super) async fn create_cache(work: &Work<'_>) -> Result<(), EngineError> {
    let labels = BTreeMap::from([(label::CACHE.to_owned(), "go".to_owned())]);
    work.engine.create_volume(CACHE_VOLUME, &labels).await
}

/// Removes a job's container whatever came of it; the job's own failure is the one that is told.
pub(super) async fn remove_job(
    work: &Work<'_>,
    name: &str,
    result: Result<(), Error>,
) -> Result<(), Error> {
    let removed = work.engine.remove_container(name).await;
    result.and(removed.map_err(|source| Error::other(format!("remove container {name}"), source)))
}

pub(super) fn output(work: &Work<'_>, source: &str, line: &str) {
    work.reporter.send(Event::Output {
        source: source.to_owned(),
        line: line.to_owned(),
    });
}

/// A bar that is moved only when its value changes.
struct Counter<'a> {
    work: &'a Work<'a>,
    item: String,
    shown: (u64, Option<u64>),
}

impl<'a> Counter<'a> {
    fn new(work: &'a Work<'a>, item: &str) -> Self {
        Self {
            work,
            item: item.to_owned(),
            shown: (0, None),
        }
    }

    /// `progress DONE TOTAL ...`
    fn take(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("progress ") {
            let mut numbers = rest.split_whitespace().map(str::parse);
            if let (Some(Ok(done)), Some(Ok(total))) = (numbers.next(), numbers.next()) {
                self.show(done, Some(total));
            }
        }
    }

    fn show(&mut self, done: u64, total: Option<u64>) {
        if self.shown != (done, total) {
            self.shown = (done, total);
            self.work.reporter.send(Event::Progress {
                item: self.item.clone(),
                done,
                total,
                unit: Unit::Items,
                failed: None,
            });
        }
    }

    fn finish(&self) {
        if self.shown != (0, None) {
            self.work.reporter.send(Event::ProgressFinished {
                item: self.item.clone(),
            });
        }
    }
}
