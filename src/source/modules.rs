//! Programs that are built from released Go modules. PURE: which modules, at which versions, with which flags.
//!
//! Each component is a main module of ours below `config/modules/`, with sums: `go install pkg@version` refuses modules
//! with replacements, and Kubernetes needs its staging modules replaced by their released versions.

use crate::cluster::KubernetesVersion;
use crate::image::context::{File, archive};
use crate::image::digest;

type Embedded = (&'static str, &'static [u8]);

macro_rules! module {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_bytes!(concat!("../../config/modules/", $folder, "/", $name)).as_slice())),+]
    };
}

const ETCD_3_6_8: &[Embedded] = module!("etcd-3.6.8": "go.mod", "go.sum", "tools.go");
const COREDNS_1_14_2: &[Embedded] = module!("coredns-1.14.2": "go.mod", "go.sum", "main.go");
const CONTAINERD_2_4_2: &[Embedded] = module!("containerd-2.4.2": "go.mod", "go.sum", "tools.go");
const KUBERNETES_1_36_3: &[Embedded] = module!("kubernetes-1.36.3": "go.mod", "go.sum", "tools.go");
const ETCD_3_6_6: &[Embedded] = module!("etcd-3.6.6": "go.mod", "go.sum", "tools.go");
const COREDNS_1_13_1: &[Embedded] = module!("coredns-1.13.1": "go.mod", "go.sum", "main.go");
const KUBERNETES_1_35_4: &[Embedded] = module!("kubernetes-1.35.4": "go.mod", "go.sum", "tools.go");
const TESTS_1_36_3: &[Embedded] =
    module!("kubernetes-e2e-1.36.3": "go.mod", "go.sum", "tools.go", "build");

/// A version of Kubernetes that is proven to build from its modules, with what kubeadm of that version asks for:
/// `scripts/modules` finds it out.
struct Proven {
    version: KubernetesVersion,
    kubernetes: &'static [Embedded],
    /// Its end-to-end tests, where these are proven, too.
    tests: Option<&'static [Embedded]>,
    etcd: (&'static str, &'static [Embedded]),
    coredns: (&'static str, &'static [Embedded]),
    pause: &'static str,
    /// The test image that goes with it (test/images/agnhost/VERSION in its module).
    agnhost: &'static str,
}

/// The newest comes last.
const PROVEN: [Proven; 2] = [
    Proven {
        version: KubernetesVersion::new(1, 35, 4),
        kubernetes: KUBERNETES_1_35_4,
        tests: None,
        etcd: ("3.6.6", ETCD_3_6_6),
        coredns: ("1.13.1", COREDNS_1_13_1),
        pause: "3.10.1",
        agnhost: "2.59",
    },
    Proven {
        version: KubernetesVersion::new(1, 36, 3),
        kubernetes: KUBERNETES_1_36_3,
        tests: Some(TESTS_1_36_3),
        etcd: ("3.6.8", ETCD_3_6_8),
        coredns: ("1.14.2", COREDNS_1_14_2),
        pause: "3.10.2",
        agnhost: "2.63.0",
    },
];

/// The versions of Kubernetes that build from modules.
pub fn proven_versions() -> impl Iterator<Item = KubernetesVersion> {
    PROVEN.iter().map(|proven| proven.version)
}

/// The versions of Kubernetes whose end-to-end tests build from modules.
pub fn tested_versions() -> impl Iterator<Item = KubernetesVersion> {
    let tested = PROVEN.iter().filter(|proven| proven.tests.is_some());
    tested.map(|proven| proven.version)
}

/// The image that the setting `image.preload` means by a name, under the name that Kubernetes' tests ask for.
pub fn extra_image(name: &str, version: KubernetesVersion) -> Option<String> {
    let proven = PROVEN
        .iter()
        .find(|proven| proven.version == version)
        .or(PROVEN.last())?;
    (name == "agnhost")
        .then(|| format!("registry.k8s.io/e2e-test-images/agnhost:{}", proven.agnhost))
}

/// One main module and the programs that are built from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// `kubernetes`, `etcd`...
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// The files of the main module.
    files: &'static [Embedded],
    /// Go packages; `package=name` where Go would call the program otherwise.
    pub packages: Vec<&'static str>,
    /// Linker flags: the version that the program reports.
    pub linker_flags: String,
    /// Environment of the build, as `NAME=value`.
    pub environment: Vec<String>,
    /// The programs go into container images and not into the node image.
    pub for_images: bool,
    /// The container runtime: needed wherever Kubernetes itself comes from.
    pub runtime: bool,
}

impl Component {
    /// The name of the folder in which the programs appear: a digest over all that goes into them, `builder` being what
    /// they are built by.
    pub fn folder(&self, builder: &str) -> String {
        let key = digest(&[
            builder.as_bytes(),
            &archive(&self.module()),
            self.packages.join(" ").as_bytes(),
            self.linker_flags.as_bytes(),
            self.environment.join(" ").as_bytes(),
        ]);
        format!("{}-{}-{key}", self.name, self.version)
    }

    /// The main module, to be unpacked to `/module`.
    pub fn module(&self) -> Vec<File<'static>> {
        let file = |&(name, data): &Embedded| File::new(format!("module/{name}"), 0o644, data);
        self.files.iter().map(file).collect()
    }

    /// The command that builds it in the builder.
    pub fn command(&self, folder: &str) -> Vec<String> {
        // A module that is more than its programs brings what makes the rest.
        let own = self.files.iter().any(|(name, _)| *name == "build");
        let program: &[&str] = if own {
            &["/bin/sh", "/module/build"]
        } else {
            &["/usr/local/bin/build-programs"]
        };
        let mut command: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
        command.extend([folder.to_owned(), self.linker_flags.clone()]);
        command.extend(self.packages.iter().map(|package| (*package).to_owned()));
        command
    }
}

/// All components of a version. Where the version is not proven, those that do not depend on it.
pub fn components(version: KubernetesVersion) -> Vec<Component> {
    let mut components = vec![containerd()];
    if let Some(proven) = PROVEN.iter().find(|proven| proven.version == version) {
        components.push(kubernetes(proven));
        components.push(Component {
            name: "etcd",
            version: proven.etcd.0.to_owned(),
            files: proven.etcd.1,
            packages: vec![
                "go.etcd.io/etcd/server/v3=etcd",
                "go.etcd.io/etcd/etcdctl/v3",
            ],
            linker_flags: String::new(),
            environment: vec!["CGO_ENABLED=0".to_owned()],
            for_images: true,
            runtime: false,
        });
        components.push(Component {
            name: "coredns",
            version: proven.coredns.0.to_owned(),
            files: proven.coredns.1,
            packages: vec!["localcluster.invalid/coredns"],
            linker_flags: String::new(),
            environment: vec!["CGO_ENABLED=0".to_owned()],
            for_images: true,
            runtime: false,
        });
    }
    components
}

/// containerd: Debian's is too old for kubelet 1.36, which wants containerd 2.
fn containerd() -> Component {
    Component {
        name: "containerd",
        version: "2.4.2".to_owned(),
        files: CONTAINERD_2_4_2,
        packages: vec![
            "github.com/containerd/containerd/v2/cmd/containerd",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/ctr",
        ],
        linker_flags: "-X github.com/containerd/containerd/v2/version.Version=v2.4.2".to_owned(),
        environment: vec!["CGO_ENABLED=0".to_owned()],
        for_images: false,
        runtime: true,
    }
}

/// The end-to-end tests of a version, with the programs of their images; none where they are not proven to build.
pub fn tests(version: KubernetesVersion) -> Option<Component> {
    let proven = PROVEN.iter().find(|proven| proven.version == version)?;
    Some(Component {
        name: "kubernetes-e2e",
        files: proven.tests?,
        packages: vec![
            "github.com/onsi/ginkgo/v2/ginkgo",
            // The tests call it.
            "k8s.io/kubernetes/cmd/kubectl",
            "k8s.io/kubernetes/test/images/agnhost",
            "k8s.io/kubernetes/test/images/nonewprivs",
            "k8s.io/kubernetes/test/images/regression-issue-74839",
            "k8s.io/kubernetes/test/images/resource-consumer",
            "k8s.io/kubernetes/test/images/resource-consumer/consume-cpu",
            "k8s.io/sample-apiserver",
        ],
        environment: vec![
            "CGO_ENABLED=0".to_owned(),
            format!("PAUSE={}", proven.pause),
        ],
        for_images: true,
        ..kubernetes(proven)
    })
}

fn kubernetes(proven: &Proven) -> Component {
    let KubernetesVersion { major, minor, .. } = proven.version;
    let version = proven.version.to_string();
    let linker_flags = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
        .iter()
        .map(|package| {
            format!(
                "-X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
                 -X {package}.gitTreeState=clean -X {package}.gitCommit=v{version}"
            )
        })
        .collect::<Vec<_>>()
        .join(" ");
    Component {
        name: "kubernetes",
        version,
        files: proven.kubernetes,
        packages: vec![
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-proxy",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubeadm",
            "k8s.io/kubernetes/cmd/kubectl",
            "k8s.io/kubernetes/cmd/kubelet",
            "k8s.io/kubernetes/test/images/agnhost",
        ],
        linker_flags,
        environment: vec![
            "CGO_ENABLED=0".to_owned(),
            format!("PAUSE_VERSION={}", proven.pause),
        ],
        for_images: false,
        runtime: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_requires_the_version_that_its_component_says() {
        let all = proven_versions()
            .flat_map(|version| components(version).into_iter().chain(tests(version)));
        for component in all {
            let go_mod = component
                .files
                .iter()
                .find(|(name, _)| *name == "go.mod")
                .unwrap()
                .1;
            let go_mod = String::from_utf8_lossy(go_mod);
            assert!(
                go_mod.contains(&format!(" v{}", component.version)),
                "{}: {go_mod}",
                component.name
            );
        }
    }

    #[test]
    fn an_unproven_version_has_only_the_runtime() {
        assert!(
            components(KubernetesVersion::new(1, 21, 0))
                .iter()
                .all(|component| component.runtime)
        );
    }
}
