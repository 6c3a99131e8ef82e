//! What the tests of a version are made of: programs, an image to run them in, and the images that they ask for. PURE.

use crate::cluster::KubernetesVersion;
use crate::error::Error;
use crate::image::{
    CACHE_PATH, ImageInputs, ImagePlan, Origin, Programs, REPOSITORY, context, digest,
};
use crate::plan::{Observed, Stage, Step};
use crate::settings::SourceKind;
use crate::source::modules::{self, Component};
use crate::source::release;

/// Where the image of released tests has them.
pub const RELEASED_PATH: &str = "/usr/local/lib/kubernetes-tests";

/// The suite of a version, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suite {
    /// From Go modules.
    Built(Box<BuiltSuite>),
    /// From a release.
    Released(ReleasedSuite),
}

/// The tests as they are built from Go modules, with images that are assembled for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltSuite {
    /// The image that the tests run in, and in which their images are assembled.
    pub image: String,
    /// The tests, and the programs of their images.
    pub programs: Programs,
    /// CoreDNS, which one of the images has.
    pub coredns: Programs,
    /// The folder of the cache volume in which the images appear.
    pub layout: String,
}

/// The tests as they are released; their images come from the release's registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasedSuite {
    /// The image that the tests run in, with them in it.
    pub image: String,
    /// What it is made on: what the tests call.
    pub tools: String,
}

impl Suite {
    /// The tests of the inputs' version, from where the inputs come from; none where they cannot be had from there.
    pub fn new(inputs: &ImageInputs, images: &ImagePlan) -> Option<Self> {
        match &inputs.origin {
            Origin::Modules => images
                .tests
                .clone()
                .map(|suite| Self::Built(Box::new(suite))),
            Origin::Release { url, .. } => {
                let suite = ReleasedSuite::new(inputs, &images.base, url)?;
                Some(Self::Released(suite))
            }
        }
    }

    /// The image that the tests run in.
    pub fn image(&self) -> &str {
        match self {
            Self::Built(suite) => &suite.image,
            Self::Released(suite) => &suite.image,
        }
    }

    /// Where it has the tests, and what they call.
    pub fn programs_path(&self) -> String {
        match self {
            Self::Built(suite) => suite.programs.path(),
            Self::Released(_) => RELEASED_PATH.to_owned(),
        }
    }

    /// What makes it.
    pub fn plan(&self, images: &ImagePlan, observed: &Observed) -> Vec<Stage> {
        match self {
            Self::Built(suite) => suite.plan(images, observed),
            Self::Released(suite) => suite.plan(images, observed),
        }
    }
}

impl BuiltSuite {
    /// Names everything; none where this version's tests are not proven to build.
    pub fn new(inputs: &ImageInputs, base: &str, built_by: &str) -> Option<Self> {
        let component = modules::tests(inputs.version)?;
        let made = |component: Component| Programs {
            folder: component.folder(built_by),
            component,
        };
        let mut all = modules::components(inputs.version).into_iter();
        let coredns = made(all.find(|component| component.name == "coredns")?);
        let programs = made(component);
        let key = tools_key(inputs, base);
        let layout = digest(&[
            key.as_bytes(),
            programs.folder.as_bytes(),
            coredns.folder.as_bytes(),
        ]);
        Some(Self {
            image: tools(&key),
            programs,
            coredns,
            layout: format!("test-images-{}-{layout}", inputs.version),
        })
    }

    /// The path of the images in a job.
    pub fn layout_path(&self) -> String {
        format!("{CACHE_PATH}/out/{}", self.layout)
    }

    /// What makes it. What is in the cache volume is seen by the steps themselves, which are done at once then.
    pub fn plan(&self, images: &ImagePlan, observed: &Observed) -> Vec<Stage> {
        let has = |tag: &str| observed.images.contains(tag);
        let (builder, image) = (!has(&images.builder), !has(&self.image));
        let base = (builder || image) && !has(&images.base);
        let (coredns, tests) = (self.coredns.clone(), self.programs.clone());
        let all = [
            Stage::when(base, "base", Step::ObtainBase),
            Stage::when(builder, "builder", Step::BuildBuilder),
            Stage::when(image, "tests image", Step::BuildTests(self.image.clone())),
            Stage::when(true, "programs", Step::BuildPrograms(coredns)),
            Stage::when(true, "tests", Step::BuildPrograms(tests)),
            Stage::when(true, "test images", Step::AssembleTests(self.clone())),
        ];
        all.into_iter().flatten().collect()
    }
}

impl ReleasedSuite {
    /// The first minor version whose tests take the flags of ginkgo 2, by which they are listed and followed.
    const FIRST: u16 = 25;

    fn new(inputs: &ImageInputs, base: &str, url: &str) -> Option<Self> {
        let version = inputs.version;
        if version.minor < Self::FIRST {
            return None;
        }
        let tools = tools(&tools_key(inputs, base));
        // A mirror may have other files under the same version.
        let key = digest(&[tools.as_bytes(), url.as_bytes(), RELEASED_PATH.as_bytes()]);
        Some(Self {
            image: format!("{REPOSITORY}/tests:{version}-{key}"),
            tools,
        })
    }

    fn plan(&self, images: &ImagePlan, observed: &Observed) -> Vec<Stage> {
        let has = |tag: &str| observed.images.contains(tag);
        let image = !has(&self.image);
        let tools = image && !has(&self.tools);
        let base = tools && !has(&images.base);
        let all = [
            Stage::when(base, "base", Step::ObtainBase),
            Stage::when(tools, "tests image", Step::BuildTests(self.tools.clone())),
            Stage::when(image, "download", Step::Download(&release::TESTS)),
            Stage::when(image, "tests", Step::InstallTests(self.clone())),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Where tests may come from.
#[derive(Clone, Debug)]
pub struct Origins {
    /// The source that the settings name.
    pub kind: SourceKind,
    /// The release that the cluster is from, if it is from one.
    pub cluster: Option<Origin>,
    /// The release that the settings mean.
    pub settings: Origin,
    /// Somebody has said that it is this one: the cluster's may be gone.
    pub said: bool,
}

impl Origins {
    /// Where the tests of a version come from: where the cluster is from, if nothing else is said; from modules only where
    /// that is proven.
    pub fn choose(self, version: KubernetesVersion) -> Origin {
        let proven = modules::tested_versions().any(|tested| tested == version);
        match (self.kind, self.cluster) {
            (SourceKind::Modules, _) => Origin::Modules,
            (SourceKind::Auto, None) if proven => Origin::Modules,
            (_, Some(release)) if !self.said => release,
            (SourceKind::Auto | SourceKind::Release, _) => self.settings,
        }
    }
}

fn tools_key(inputs: &ImageInputs, base: &str) -> String {
    let ca_bundle = inputs.ca_bundle.as_deref();
    digest(&[base.as_bytes(), &context::tests(ca_bundle)])
}

fn tools(key: &str) -> String {
    format!("{REPOSITORY}/tests:{key}")
}

/// Why a version has no suite from there, and what to do about it.
pub fn refusal(version: KubernetesVersion, origin: &Origin) -> Error {
    match origin {
        Origin::Modules => Error::with_hint(
            format!(
                "the tests of Kubernetes {version} cannot be had: those of {} are built from their Go modules, others are \
                 not proven to",
                proven()
            ),
            "a release has its own: `K8S_DIND_SOURCE=release`",
        ),
        Origin::Release { .. } => Error::message(format!(
            "the tests of Kubernetes {version} cannot be run: those of 1.{} and later can, which are made with ginkgo 2",
            ReleasedSuite::FIRST
        )),
    }
}

/// Why a version's nodes cannot have all images of the tests from the start, and what to do about it.
pub fn unassembled(version: KubernetesVersion) -> Error {
    Error::with_hint(
        format!(
            "the images of the tests of Kubernetes {version} cannot be assembled: those of {} can",
            proven()
        ),
        "leave `e2e` out of `image.preload`; nodes of a release pull these images when tests ask for them",
    )
}

fn proven() -> String {
    let proven = modules::tested_versions().map(|version| version.to_string());
    proven.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{PRELOAD_TESTS, sample};

    fn suite(origin: Origin, version: KubernetesVersion) -> Option<(Suite, ImagePlan)> {
        let mut inputs = sample::inputs(origin);
        inputs.version = version;
        inputs.preload = vec![PRELOAD_TESTS.to_owned()];
        let images = ImagePlan::new(&inputs);
        Some((Suite::new(&inputs, &images)?, images))
    }

    fn release(url: &str) -> Origin {
        Origin::Release {
            url: url.to_owned(),
            registry: "registry.k8s.io".to_owned(),
        }
    }

    fn titles((suite, images): &(Suite, ImagePlan), there: &[&str]) -> Vec<&'static str> {
        let observed = Observed {
            images: there.iter().map(|&image| image.to_owned()).collect(),
            ..Observed::default()
        };
        let stages = suite.plan(images, &observed);
        stages.iter().map(|stage| stage.title).collect()
    }

    #[test]
    fn what_is_there_is_not_made_again() {
        let built = suite(Origin::Modules, KubernetesVersion::new(1, 36, 3)).unwrap();
        assert_eq!(
            titles(&built, &[]),
            [
                "base",
                "builder",
                "tests image",
                "programs",
                "tests",
                "test images"
            ]
        );
        let there = [built.1.builder.as_str(), built.0.image()];
        assert_eq!(titles(&built, &there), ["programs", "tests", "test images"]);

        let released = suite(release("https://a"), KubernetesVersion::new(1, 35, 0)).unwrap();
        let all = ["base", "tests image", "download", "tests"];
        assert_eq!(titles(&released, &[]), all);
        // Both are made on the same.
        assert_eq!(titles(&released, &[built.0.image()]), all[2..]);
        assert!(titles(&released, &[released.0.image()]).is_empty());
    }

    #[test]
    fn tests_come_from_where_the_cluster_comes_from() {
        let (proven, other) = (
            KubernetesVersion::new(1, 36, 3),
            KubernetesVersion::new(1, 35, 0),
        );
        let (its, said) = (release("https://its"), release("https://said"));
        let (auto, release) = (SourceKind::Auto, SourceKind::Release);
        for (kind, cluster, is_said, version, expected) in [
            (auto, Some(&its), false, proven, &its),
            (auto, Some(&its), false, other, &its),
            (auto, Some(&its), true, proven, &said),
            (auto, None, true, proven, &Origin::Modules),
            (auto, None, false, other, &said),
            (release, Some(&its), false, proven, &its),
            (release, Some(&its), true, proven, &said),
            (release, None, false, proven, &said),
            (
                SourceKind::Modules,
                Some(&its),
                true,
                proven,
                &Origin::Modules,
            ),
            (SourceKind::Modules, None, false, other, &Origin::Modules),
        ] {
            let origins = Origins {
                kind,
                cluster: cluster.cloned(),
                settings: said.clone(),
                said: is_said,
            };
            assert_eq!(
                &origins.clone().choose(version),
                expected,
                "{origins:?} {version}"
            );
        }
    }

    #[test]
    fn two_releases_are_two_images() {
        let version = KubernetesVersion::new(1, 35, 0);
        let image = |url: &str, version| suite(release(url), version).unwrap().0.image().to_owned();
        assert_ne!(image("https://a", version), image("https://b", version));
        let other = KubernetesVersion::new(1, 35, 1);
        assert_ne!(image("https://a", version), image("https://a", other));
    }

    #[test]
    fn some_versions_have_none() {
        let old = KubernetesVersion::new(1, 24, 17);
        for origin in [Origin::Modules, release("https://a")] {
            assert!(suite(origin.clone(), old).is_none());
            assert!(refusal(old, &origin).to_string().contains("1.24.17"));
        }
        assert!(unassembled(old).to_string().contains("1.24.17"));
        assert!(suite(Origin::Modules, KubernetesVersion::new(1, 36, 99)).is_none());
    }
}
