//! The table of all settings: each is named here once.
//!
//! Flags, environment variables, the keys of the configuration file, the reference page, the JSON
//! schema and all checks of single values come from this table. Defaults do not: those are in
//! `config/defaults.yaml`.

pub use super::setting::{Availability, Choice, Kind, PREFIX, Setting};
use super::setting::{later, works};
use crate::cluster::CniPlugin;
use crate::cluster::network::{MAX_WORKERS, POD_PREFIXES, POOL_PREFIXES, SERVICE_PREFIXES};
use std::ops::RangeInclusive;

/// The setting of this dotted name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

const NO_TREE: &str = "building from a Kubernetes source tree is not there yet";
const NO_URLS: &str = "binaries from single URLs are not there yet";
const NO_CNI: &str = "`bridge` is the only CNI plugin so far";
const NO_ADDONS: &str = "addons are not there yet; use `local-cluster kubectl apply -f`";

const SOURCES: &[Choice] = &[
    works("auto"),
    works("release"),
    works("modules"),
    later("tree", NO_TREE),
    later("url", NO_URLS),
];

const CNI_PLUGINS: &[Choice] = &[
    works(CniPlugin::Bridge.as_str()),
    later("flannel", NO_CNI),
    later("calico", NO_CNI),
    later("calico-kdd", NO_CNI),
    later("weave", NO_CNI),
    later("kube-router", NO_CNI),
    later("cilium", NO_CNI),
];

/// A range of addresses with such a prefix.
const fn subnet(prefixes: &RangeInclusive<u8>) -> Kind {
    Kind::Subnet(*prefixes.start(), *prefixes.end())
}

/// All settings, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "verbose",
        "v",
        Kind::Number(0, 9),
        "How much is told: from 2 on the output of kubeadm and of builds, too",
    )
    .global(),
    Setting::new(
        "dind.subnet",
        "dind-subnet",
        subnet(&POOL_PREFIXES),
        "The range that clusters take their node networks from: cluster N gets its Nth /24",
    ),
    Setting::new(
        "source.kind",
        "source",
        Kind::Choice(SOURCES),
        "Where Kubernetes comes from: a release, or built from its Go modules; `auto` takes the \
         first that works and says which",
    ),
    Setting::new(
        "source.kubernetesVersion",
        "kubernetes-version",
        Kind::Version,
        "The version of Kubernetes: `1.35.2`, `1.35` or `stable-1.35` for the newest of a minor \
         one, `stable` or `latest` for the newest of all; nothing for the one that this tool was tested with",
    )
    .optional(),
    Setting::new(
        "source.releaseUrl",
        "release-url",
        Kind::Url,
        "Where the binaries of releases are: the official place or a mirror of it",
    ),
    Setting::new(
        "source.imageRegistry",
        "image-registry",
        Kind::Registry,
        "Where the images of releases are, for the nodes too: the official registry or a mirror of \
         it; `http://` before it for one without TLS",
    ),
    Setting::new(
        "source.goProxy",
        "go-proxy",
        Kind::GoProxy,
        "Where Go modules are fetched from, as `GOPROXY` has it; nothing for Go's own default",
    )
    .optional(),
    Setting::new(
        "source.buildKubeadm",
        "build-kubeadm",
        Kind::Bool,
        "Build `kubeadm` from Kubernetes sources",
    )
    .old("BUILD_KUBEADM")
    .later(NO_TREE, "false"),
    Setting::new(
        "source.buildHyperkube",
        "build-hyperkube",
        Kind::Bool,
        "Build the control plane and kubelet from Kubernetes sources",
    )
    .old("BUILD_HYPERKUBE")
    .later(NO_TREE, "false"),
    Setting::new(
        "source.buildKubectl",
        "build-kubectl",
        Kind::Bool,
        "Build `kubectl` from Kubernetes sources",
    )
    .later(NO_TREE, "false"),
    Setting::new(
        "source.k8sDir",
        "k8s-dir",
        Kind::Path,
        "The directory of the Kubernetes sources",
    )
    .later(NO_TREE, ""),
    Setting::new(
        "source.kubeadmUrl",
        "kubeadm-url",
        Kind::Url,
        "Where to download `kubeadm` from",
    )
    .later(NO_URLS, ""),
    Setting::new(
        "source.kubeadmSha1",
        "kubeadm-sha1",
        Kind::Digest(40),
        "The SHA-1 of the downloaded `kubeadm`",
    )
    .later(NO_URLS, ""),
    Setting::new(
        "source.hyperkubeUrl",
        "hyperkube-url",
        Kind::Url,
        "Where to download `hyperkube` from",
    )
    .later(NO_URLS, ""),
    Setting::new(
        "source.hyperkubeSha1",
        "hyperkube-sha1",
        Kind::Digest(40),
        "The SHA-1 of the downloaded `hyperkube`",
    )
    .later(NO_URLS, ""),
    Setting::new(
        "source.kubectlUrl",
        "kubectl-url",
        Kind::Url,
        "Where to download `kubectl` from",
    )
    .later(NO_URLS, ""),
    Setting::new(
        "source.kubectlSha1",
        "kubectl-sha1",
        Kind::Digest(40),
        "The SHA-1 of the downloaded `kubectl`",
    )
    .later(NO_URLS, ""),
    Setting::new(
        "cluster.id",
        "cluster-id",
        Kind::Number(0, 255),
        "Which cluster: several can run beside each other; nothing for 0, or with a label for the \
         lowest free one",
    )
    .optional()
    .global()
    .old("CLUSTER_ID"),
    Setting::new(
        "cluster.label",
        "label",
        Kind::Label,
        "A name for the cluster, in place of `cluster-N`",
    )
    .optional()
    .global()
    .old("DIND_LABEL"),
    Setting::new(
        "cluster.numNodes",
        "num-nodes",
        Kind::Number(0, MAX_WORKERS as u64),
        "How many workers to make; with 0 pods run on the master",
    )
    .old("NUM_NODES"),
    Setting::new(
        "cluster.numMasters",
        "num-masters",
        Kind::OneOf(&[1, 3, 5]),
        "How many masters (control plane nodes) to make; several have a load balancer before them, and survive the loss \
         of less than half of them",
    ),
    Setting::new(
        "cluster.noDedicated",
        "no-dedicated",
        Kind::Bool,
        "Let pods run on the master even where there are workers",
    ),
    Setting::new(
        "cluster.apiServerPort",
        "apiserver-port",
        Kind::Number(1, 65_535),
        "The port of the engine's host that the API server is published on; nothing for 6443 plus \
         the cluster's id where that is free, else another",
    )
    .optional()
    .old("APISERVER_PORT"),
    Setting::new(
        "cluster.apiServerAddress",
        "apiserver-address",
        Kind::Address,
        "The address of the engine's host that the API server is published on",
    ),
    Setting::new(
        "cluster.cniPlugin",
        "cni-plugin",
        Kind::Choice(CNI_PLUGINS),
        "The CNI plugin",
    )
    .old("CNI_PLUGIN"),
    Setting::new(
        "cluster.podSubnet",
        "pod-subnet",
        subnet(&POD_PREFIXES),
        "The range of the pods' addresses; each node gets a /24 of it",
    )
    .old("POD_NETWORK_CIDR"),
    Setting::new(
        "cluster.serviceSubnet",
        "service-subnet",
        subnet(&SERVICE_PREFIXES),
        "The range of the services' addresses",
    )
    .old("SERVICE_CIDR"),
    Setting::new(
        "cluster.ipMode",
        "ip-mode",
        Kind::Choice(&[works("ipv4"), works("ipv6"), works("dual-stack")]),
        "The families of addresses",
    )
    .old("IP_MODE")
    .later("IPv6 is not there yet", "ipv4"),
    Setting::new(
        "cluster.containerRuntime",
        "container-runtime",
        Kind::Choice(&[works("containerd"), works("docker")]),
        "The container runtime in the nodes",
    )
    .old("DIND_CRI")
    .later("containerd is the only runtime so far", "containerd"),
    Setting::new(
        "cluster.addons",
        "addons",
        Kind::Text,
        "Addons to install: names, paths or URLs of manifests, with commas between them",
    )
    .later(NO_ADDONS, ""),
    Setting::new(
        "cluster.skipSnapshot",
        "skip-snapshot",
        Kind::Bool,
        "Take no snapshot of a new cluster, and use none",
    )
    .old("SKIP_SNAPSHOT"),
    Setting::new(
        "cluster.unsafeFast",
        "unsafe-fast",
        Kind::Bool,
        "Let etcd not wait for the disk: faster, and lost if the host's power is",
    ),
    Setting::new(
        "image.base",
        "image-base",
        Kind::Base,
        "What the node image is made on: an image's name, the path or URL of a root file system's \
         tarball, or `archive` to make one from a Debian archive; `auto` takes the first that works",
    ),
    Setting::new(
        "image.baseSha256",
        "image-base-sha256",
        Kind::Digest(64),
        "The SHA-256 of the tarball that `image.base` names",
    )
    .optional(),
    Setting::new(
        "image.debianMirror",
        "debian-mirror",
        Kind::Url,
        "The Debian archive that packages come from; nothing for Debian's own",
    )
    .optional(),
    Setting::new(
        "image.preload",
        "preload",
        Kind::List(&["agnhost", "e2e"]),
        "More images to have in every node from the start",
    )
    .optional(),
    Setting::new(
        "kubeconfig.merge",
        "no-merge",
        Kind::Bool,
        "Add the cluster to the user's own kubeconfig, too, and make it the current one there",
    )
    .negated("Leave the user's own kubeconfig alone"),
];
