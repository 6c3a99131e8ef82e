//! What the tests of a version are made of: programs, an image to run them in, and the images that they ask for. PURE.

use crate::cluster::KubernetesVersion;
use crate::image::{CACHE_PATH, ImageInputs, ImagePlan, Programs, REPOSITORY, context, digest};
use crate::plan::{Observed, Stage, Step};
use crate::source::modules::{self, Component};

/// The suite of a version, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// The image that the tests run in, and in which their images are assembled.
    pub image: String,
    /// The tests, and the programs of their images.
    pub programs: Programs,
    /// CoreDNS, which one of the images has.
    pub coredns: Programs,
    /// The folder of the cache volume in which the images appear.
    pub layout: String,
}

impl Suite {
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
        let ca_bundle = inputs.ca_bundle.as_deref();
        let key = digest(&[base.as_bytes(), &context::tests(ca_bundle)]);
        let layout = digest(&[
            key.as_bytes(),
            programs.folder.as_bytes(),
            coredns.folder.as_bytes(),
        ]);
        Some(Self {
            image: format!("{REPOSITORY}/tests:{key}"),
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
            Stage::when(image, "tests image", Step::BuildTests(self.clone())),
            Stage::when(true, "programs", Step::BuildPrograms(coredns)),
            Stage::when(true, "tests", Step::BuildPrograms(tests)),
            Stage::when(true, "test images", Step::AssembleTests(self.clone())),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Why a version has no suite here.
pub fn refusal(version: KubernetesVersion) -> String {
    let proven: Vec<String> = modules::tested_versions()
        .map(|version| version.to_string())
        .collect();
    format!(
        "the tests of Kubernetes {version} cannot be had: those of {} are built from their Go modules, others are not proven to",
        proven.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Origin, sample};

    #[test]
    fn what_is_there_is_not_made_again() {
        let inputs = sample::inputs(Origin::Modules);
        let images = ImagePlan::new(&inputs);
        let suite = Suite::new(&inputs, &images.base, "builder").unwrap();
        let titles = |observed: &Observed| -> Vec<&str> {
            suite
                .plan(&images, observed)
                .iter()
                .map(|stage| stage.title)
                .collect()
        };
        let mut observed = Observed::default();
        assert_eq!(
            titles(&observed),
            [
                "base",
                "builder",
                "tests image",
                "programs",
                "tests",
                "test images"
            ]
        );
        observed.images = [images.builder.clone(), suite.image.clone()].into();
        assert_eq!(titles(&observed), ["programs", "tests", "test images"]);
        assert!(suite.programs.component.command("x")[0].ends_with("sh"));
    }

    #[test]
    fn another_version_has_none() {
        let mut inputs = sample::inputs(Origin::Modules);
        inputs.version = KubernetesVersion::new(1, 21, 0);
        assert!(Suite::new(&inputs, "base", "builder").is_none());
    }
}
