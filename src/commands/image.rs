//! The images that a cluster is made of: where Kubernetes comes from is decided here, then they are made if they are not
//! there. `image build` does only this, `up` begins with it.

use super::preflight;
use super::session::Session;
use super::surroundings::Surroundings;
use crate::cluster::{DEFAULT_VERSION, KubernetesVersion, VersionRequest};
use crate::e2e::suite::{self, Origins, Suite};
use crate::engine::{Engine, Facts, Found, State, label};
use crate::error::{Error, exit_code};
use crate::image::base::BaseChoice;
use crate::image::{ImageInputs, ImagePlan, Origin, PRELOAD_TESTS};
use crate::plan::{Observed, Stage, plan_images};
use crate::settings::{Settings, SourceKind};
use crate::signal;
use crate::snapshot::Snapshot;
use crate::source::modules::proven_versions;
use crate::source::release::{self, Release};
use crate::source::{download, version_marker};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is wanted of the images, and what there is.
pub(super) struct Wanted {
    pub(super) inputs: ImageInputs,
    pub(super) images: ImagePlan,
    pub(super) stages: Vec<Stage>,
}

impl Wanted {
    /// Looks again for what is missing.
    pub(super) async fn look_again(
        &mut self,
        engine: &Engine,
        observed: &mut Observed,
    ) -> Result<(), Error> {
        observe(engine, observed).await?;
        self.compare(&preloads(engine).await?, observed);
        Ok(())
    }

    /// Decides what is missing. `observed` is told of the preloaded images.
    fn compare(&mut self, preloads: &BTreeMap<String, bool>, observed: &mut Observed) {
        observed.preloaded = preloads.get(&self.images.preload) == Some(&true);
        self.stages = plan_images(&self.images, &self.inputs.origin, observed);
    }
}

/// `image build`.
pub(super) async fn build(session: &Session) -> Result<u8, Error> {
    let cancel = signal::watch(session.reporter.clone());
    let engine = session.engine().await?;
    let facts = super::session::facts(&engine).await?;
    session.reporter.started("image build", None);
    let began = std::time::Instant::now();
    let lock = session.lock_images(&cancel).await?;
    let version = version(session).await?;
    let wanted = wanted(session, &engine, &facts, version, &mut Observed::default()).await?;
    if !wanted.stages.is_empty() {
        let load = preflight::load(&[], &wanted.stages);
        preflight::check_host(&facts, load, &session.reporter)?;
    }
    let mut times = Vec::new();
    let surroundings = Surroundings::of(session);
    let work = surroundings.work(&engine, &facts, &wanted, &cancel, &session.reporter);
    crate::execute::run(&wanted.stages, &work, None, &mut times).await?;
    drop(lock);
    session.reporter.finished(
        times,
        began.elapsed(),
        vec![format!("the node image is {}", wanted.images.node)],
    );
    Ok(exit_code::OK)
}

/// What a cluster needs in which no node is made: nothing, so nobody is asked.
pub(super) fn unneeded(session: &Session, version: KubernetesVersion) -> Result<Wanted, Error> {
    let inputs = inputs(session.settings()?, version, Origin::Modules, None);
    let images = ImagePlan::new(&inputs);
    Ok(Wanted {
        inputs,
        images,
        stages: Vec::new(),
    })
}

/// The tests of a version, and what they are made with, for the cluster that has this node: if they can be, they are from
/// where that is from.
pub(super) fn of_tests(
    session: &Session,
    version: KubernetesVersion,
    node: &Found,
) -> Result<(Wanted, Suite), Error> {
    let settings = session.settings()?;
    let ca_bundle = ca_bundle(&session.environment)?;
    let origins = Origins {
        kind: settings.source.kind,
        cluster: release_of_node(&node.labels),
        settings: release_of(settings),
        said: session.is_given("source.releaseUrl"),
    };
    let mut inputs = inputs(settings, version, origins.choose(version), ca_bundle);
    inputs.preload = vec![PRELOAD_TESTS.to_owned()];
    let images = ImagePlan::new(&inputs);
    let suite = Suite::new(&inputs, &images);
    let suite = suite.ok_or_else(|| suite::refusal(version, &inputs.origin))?;
    let wanted = Wanted {
        inputs,
        images,
        stages: Vec::new(),
    };
    Ok((wanted, suite))
}

/// What further nodes of a cluster are made of: what this one is made of, whatever the settings say today.
pub(super) fn of_node(
    session: &Session,
    version: KubernetesVersion,
    node: &Found,
) -> Result<Wanted, Error> {
    let preload = node.labels.get(label::PRELOAD_USED);
    of(
        session,
        version,
        &node.image,
        preload.map_or("", String::as_str),
    )
}

/// What nodes are made of for which image and preload volume are known.
pub(super) fn of(
    session: &Session,
    version: KubernetesVersion,
    image: &str,
    preload: &str,
) -> Result<Wanted, Error> {
    let mut wanted = unneeded(session, version)?;
    image.clone_into(&mut wanted.images.node);
    preload.clone_into(&mut wanted.images.preload);
    Ok(wanted)
}

/// Decides the source, and what of the images is missing. `observed` is given what the engine has of them.
pub(super) async fn wanted(
    session: &Session,
    engine: &Engine,
    facts: &Facts,
    version: KubernetesVersion,
    observed: &mut Observed,
) -> Result<Wanted, Error> {
    let settings = session.settings()?;
    let ca_bundle = ca_bundle(&session.environment)?;
    let plan = |origin: &Origin| {
        let inputs = inputs(settings, version, origin.clone(), ca_bundle.clone());
        let images = ImagePlan::new(&inputs);
        (inputs, images)
    };
    observe(engine, observed).await?;
    let preloads = preloads(engine).await?;
    let complete = |images: &ImagePlan| {
        observed.images.contains(&images.node)
            && preloads.get(&images.preload).is_some_and(|whole| *whole)
    };

    let release = release_of(settings);
    let proven = proven_versions().any(|proven| proven == version);
    let origin = match settings.source.kind {
        SourceKind::Release => release,
        SourceKind::Modules if proven => Origin::Modules,
        SourceKind::Modules => return Err(unproven(version, None)),
        // What is there already needs no question to the outside.
        SourceKind::Auto if complete(&plan(&release).1) => release,
        SourceKind::Auto if proven && complete(&plan(&Origin::Modules).1) => Origin::Modules,
        SourceKind::Auto => match answers(settings, version, facts).await {
            Ok(()) => {
                session.reporter.note(format!(
                    "Kubernetes {version} comes from {}",
                    settings.source.release_url
                ));
                release
            }
            Err(reason) if proven => {
                session.reporter.note(format!(
                    "Kubernetes {version} is built from its Go modules: {reason}"
                ));
                Origin::Modules
            }
            Err(reason) => return Err(unproven(version, Some(reason))),
        },
    };
    let (inputs, images) = plan(&origin);
    if inputs.preload.iter().any(|name| name == PRELOAD_TESTS) && images.tests.is_none() {
        return Err(suite::unassembled(version));
    }
    let mut wanted = Wanted {
        inputs,
        images,
        stages: Vec::new(),
    };
    wanted.compare(&preloads, observed);
    Ok(wanted)
}

fn inputs(
    settings: &Settings,
    version: KubernetesVersion,
    origin: Origin,
    ca_bundle: Option<Vec<u8>>,
) -> ImageInputs {
    ImageInputs {
        version,
        origin,
        base: BaseChoice {
            kind: settings.image.base_kind(),
            name: settings.image.base.clone(),
            sha256: settings.image.base_sha256.clone(),
            debian_mirror: settings.image.debian_mirror.clone(),
        },
        preload: settings.image.preload.clone(),
        ca_bundle,
    }
}

/// The release that a node is of, by the labels of its image, which are its own, too.
fn release_of_node(labels: &BTreeMap<String, String>) -> Option<Origin> {
    Some(Origin::Release {
        url: labels.get(label::RELEASE_URL)?.clone(),
        registry: labels.get(label::IMAGE_REGISTRY)?.clone(),
    })
}

/// The release that the settings mean.
fn release_of(settings: &Settings) -> Origin {
    Origin::Release {
        url: settings.source.release_url.clone(),
        registry: settings.source.image_registry.clone(),
    }
}

fn unproven(version: KubernetesVersion, reason: Option<String>) -> Error {
    let proven: Vec<String> = proven_versions()
        .map(|version| version.to_string())
        .collect();
    let because = reason
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    Error::with_hint(
        format!(
            "Kubernetes {version} cannot be had{because}: its Go modules are not proven to build"
        ),
        format!(
            "the versions that build from modules are {}; others come from a mirror of the releases: \
             `--source release --release-url URL --image-registry HOST`",
            proven.join(", ")
        ),
    )
}

/// Whether the releases can be reached, or why not.
async fn answers(
    settings: &Settings,
    version: KubernetesVersion,
    facts: &Facts,
) -> Result<(), String> {
    let url = &settings.source.release_url;
    let release = Release::new(url, &version.tag(), facts.go_architecture())
        .map_err(|error| error.to_string())?;
    let client = download::client().map_err(|error| error.to_string())?;
    let answered = release::answers(&client, &release).await;
    answered.map_err(|error| format!("{url} does not answer: {}", crate::error::innermost(&error)))
}

/// The version that the settings mean; words like `latest` are asked of the release's server.
pub(super) async fn version(session: &Session) -> Result<KubernetesVersion, Error> {
    let settings = session.settings()?;
    let text = &settings.source.kubernetes_version;
    let doing = || format!("find out which version `{text}` is");
    match text
        .parse::<VersionRequest>()
        .map_err(|source| Error::other(doing(), source))?
    {
        VersionRequest::Default => Ok(DEFAULT_VERSION),
        VersionRequest::Exact(version) => Ok(version),
        request @ (VersionRequest::Latest | VersionRequest::LatestOf { .. }) => {
            let client = download::client().map_err(|source| Error::other(doing(), source))?;
            match version_marker::resolve(&client, &settings.source.release_url, text).await {
                Ok(found) => found
                    .parse()
                    .map_err(|source| Error::other(doing(), source)),
                Err(error) => newest_proven(request).map_or_else(
                    || Err(Error::other(doing(), error)),
                    |version| {
                        session.reporter.warn(
                            format!("`{text}` is taken for {version}: nobody could be asked"),
                            Some("a full version like 1.36.3 needs no question"),
                        );
                        Ok(version)
                    },
                ),
            }
        }
    }
}

/// The newest version that builds from modules and fits what was asked for.
fn newest_proven(request: VersionRequest) -> Option<KubernetesVersion> {
    proven_versions()
        .filter(|version| match request {
            VersionRequest::LatestOf { minor } => version.minor == minor,
            _ => true,
        })
        .max()
}

/// The client's CA bundle: proxies and mirrors may be signed by an authority that only it knows.
fn ca_bundle(environment: &BTreeMap<String, String>) -> Result<Option<Vec<u8>>, Error> {
    let named = environment
        .get("SSL_CERT_FILE")
        .filter(|path| !path.is_empty());
    let path = named.map_or("/etc/ssl/certs/ca-certificates.crt", String::as_str);
    match std::fs::read(Path::new(path)) {
        Ok(bundle) => Ok(Some(bundle)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => Err(Error::other(format!("read the CA bundle {path}"), error)),
    }
}

/// Notes which images of ours there are.
pub(super) async fn observe(engine: &Engine, observed: &mut Observed) -> Result<(), Error> {
    let images = engine
        .images(&format!("{}/*", crate::image::REPOSITORY))
        .await;
    let images = images.map_err(|source| Error::other("look for images", source))?;
    observed.images = images.into_iter().map(|image| image.name).collect();
    Ok(())
}

/// The preload volumes, and whether each is whole: the job that filled it has ended well, or a node was made with it, be
/// it one that is kept in a snapshot. So nobody fills a volume anew under nodes that run, though `docker container prune`
/// takes the job's container away.
pub(super) async fn preloads(engine: &Engine) -> Result<BTreeMap<String, bool>, Error> {
    let doing = "look for preloaded images";
    let volumes = engine
        .volumes(label::PRELOAD)
        .await
        .map_err(|source| Error::other(doing, source))?;
    let jobs = engine
        .containers(label::PRELOAD)
        .await
        .map_err(|source| Error::other(doing, source))?;
    let nodes = engine
        .containers(label::PRELOAD_USED)
        .await
        .map_err(|source| Error::other(doing, source))?;
    let snapshots = engine
        .volumes(label::SNAPSHOT)
        .await
        .map_err(|source| Error::other(doing, source))?;
    let of_nodes = nodes
        .iter()
        .filter_map(|node| node.labels.get(label::PRELOAD_USED).cloned());
    let of_snapshots = snapshots
        .iter()
        .filter_map(|volume| Some(Snapshot::read(volume)?.of.preload));
    let used: BTreeSet<String> = of_nodes.chain(of_snapshots).collect();
    Ok(volumes
        .into_iter()
        .map(|volume| {
            let filled = jobs
                .iter()
                .any(|job| job.name == volume.name && job.state == State::Exited(0));
            let whole = filled || used.contains(&volume.name);
            (volume.name, whole)
        })
        .collect())
}
