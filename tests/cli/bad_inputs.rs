//! The table of bad inputs: what is given, and what is said about it.
//!
//! It runs against the library; `binary.rs` runs it again, and sees that the binary says the same and ends with 2.

use super::Case;

/// How a bad input is given.
enum Input {
    /// As the configuration file.
    File(&'static str),
    /// As a variable.
    Variable(&'static str, &'static str),
    /// As arguments.
    Flags(&'static [&'static str]),
}

use Input::{File, Flags, Variable};

const INPUTS: &[Input] = &[
    // Numbers.
    Flags(&["--num-nodes", "two"]),
    Flags(&["--num-nodes", "-1"]),
    Flags(&["--num-nodes", "101"]),
    Flags(&["--num-nodes", "1.5"]),
    Flags(&["--num-nodes", ""]),
    Flags(&["--num-nodes", "99999999999999999999999"]),
    Variable("NUM_NODES", "many"),
    Variable("K8S_DIND_NUM_NODES", "0x10"),
    File("cluster:\n  numNodes: [1, 2]\n"),
    File("cluster:\n  numNodes: {workers: 2}\n"),
    File("cluster:\n  numNodes:\n"),
    Flags(&["--cluster-id", "256"]),
    Flags(&["--v", "10"]),
    Flags(&["--apiserver-port", "0"]),
    Variable("APISERVER_PORT", "65536"),
    // Truth values.
    Flags(&["--no-dedicated=maybe"]),
    Variable("K8S_DIND_NO_DEDICATED", "1"),
    File("cluster:\n  noDedicated: yes\n"),
    Variable("K8S_DIND_NO_MERGE", "no"),
    // Ranges and addresses.
    Flags(&["--dind-subnet", "10.192.0.0"]),
    Flags(&["--dind-subnet", "10.192.0.0/33"]),
    Flags(&["--dind-subnet", "10.192.0.5/16"]),
    Flags(&["--dind-subnet", "10.192.0.0/25"]),
    Flags(&["--pod-subnet", "fd00:40::/72"]),
    Variable("POD_NETWORK_CIDR", "10.244.0.0/16,fd00:40::/72"),
    Flags(&["--service-subnet", "10.0.0.0/8"]),
    Flags(&["--apiserver-address", "localhost"]),
    // Names.
    Flags(&["--label", "Dev"]),
    Flags(&["--label", "dev-"]),
    Flags(&["--label", "7"]),
    Flags(&["--label", "cluster-3"]),
    Flags(&["--label", "a-name-that-goes-on-and-on-and-on"]),
    Variable("DIND_LABEL", "mirantis.kubeadm_dind"),
    // Versions.
    Flags(&["--kubernetes-version", "1.22.17"]),
    Flags(&["--kubernetes-version", "1.36.0-rc.1"]),
    Flags(&["--kubernetes-version", "2.0"]),
    Flags(&["--kubernetes-version", "newest"]),
    Flags(&["--kubernetes-version", "1"]),
    Flags(&["--kubernetes-version", "stable-1.35.2"]),
    File("source:\n  kubernetesVersion: 1.35.\n"),
    // URLs, registries and proxies.
    Flags(&["--release-url", "dl.k8s.io/release"]),
    Flags(&["--release-url", "https://"]),
    Flags(&["--release-url", "ftp://host/path"]),
    Flags(&["--debian-mirror", "http://host:99999/debian"]),
    Flags(&["--image-registry", "https://registry.k8s.io"]),
    Flags(&["--image-registry", "registry.k8s.io/"]),
    Flags(&["--debian-mirror", "http://[::1/debian"]),
    Flags(&["--debian-mirror", "http://me:secret@host/debian"]),
    Variable("K8S_DIND_GO_PROXY", "direct,https://me:secret@host"),
    Flags(&["--go-proxy", "https://host,sometimes"]),
    // The node image.
    Flags(&["--image-base", "no such image"]),
    Flags(&["--image-base", "ftp://host/rootfs.tar.gz"]),
    Flags(&["--image-base", "https://host/rootfs.tar.gz"]),
    Flags(&["--image-base-sha256", "0123abcd"]),
    Flags(&["--image-base-sha256", "not a digest"]),
    Flags(&[
        "--image-base-sha256",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ]),
    Flags(&["--preload", "agnhost,busybox"]),
    // Words.
    Flags(&["--source", "releases"]),
    Flags(&["--cni-plugin", "cillium"]),
    // What is not there yet.
    Flags(&["--source", "tree"]),
    Flags(&["--cni-plugin", "flannel"]),
    Variable("CNI_PLUGIN", "calico-kdd"),
    Flags(&["--num-masters", "2"]),
    Flags(&["--build-kubeadm"]),
    Variable("BUILD_HYPERKUBE", "n"),
    Variable("DIND_CRI", "docker"),
    Variable("IP_MODE", "ipv6"),
    Variable("K8S_DIND_K8S_DIR", "/src/kubernetes"),
    File("source:\n  kubeadmSha1: 4e375e27a5aa10a8d1a0d10da5c3c2f2d0ee4770\n"),
    File("cluster:\n  addons: dashboard,/path/to/addon.yaml\n"),
    // Unknown names.
    File("cluster:\n  numnodes: 3\n"),
    File("numNodes: 3\n"),
    File("clusters:\n  numNodes: 3\n"),
    File("colour: blue\n"),
    Variable("K8S_DIND_NUM_NODE", "3"),
    Variable("K8S_DIND_COLOUR", "blue"),
    // Files.
    File("- cluster\n"),
    File("cluster: 3\n"),
    File("cluster:\n\tnumNodes: 3\n"),
    File("verbose: 1\n verbose: 2\n"),
    File("verbose: 1\n\nverbose: 2\n"),
    File("cluster:\n  numNodes: 1\ncluster.numNodes: 2\n"),
    File("cluster:\n  numNodes: 1\ncluster:\n  numNodes: 2\n"),
    File("verbose: 1\n---\nverbose: 2\n"),
    File("verbose: !!int 1\nlabel: *none\n"),
    File("verbose: !secret 1\n"),
    File("version: 2\n"),
    Variable("LOCAL_CLUSTER_CONF", "/no/such/file.yaml"),
    Variable("LOCAL_CLUSTER_CONF", "/"),
];

/// All bad inputs, each with the text that names it.
pub(super) fn cases() -> impl Iterator<Item = (String, Case)> {
    INPUTS.iter().map(|input| match input {
        File(text) => (format!("{text:?}"), Case::new().file(text)),
        Variable(name, value) => (format!("{name}={value}"), Case::new().variable(name, value)),
        Flags(flags) => (flags.join(" "), Case::new().arguments(flags)),
    })
}

fn said((given, case): (String, Case)) -> String {
    let problems = case.problems();
    assert_ne!(problems, "fine", "{given}");
    format!("{given}\n    {}\n", problems.replace('\n', "\n    "))
}

#[test]
fn each_is_refused_with_words_that_help() {
    let all: Vec<String> = cases().map(said).collect();
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(all.join("\n"));
    });
}

#[test]
fn all_problems_are_told_at_once() {
    let case = Case::new()
        .file("verbose: loud\n\nclustr:\n  id: 300\ncluster:\n  label: X\n  numNodes: 2\n")
        .variable("NUM_NODES", "many")
        .variable("K8S_DIND_LABLE", "dev")
        .arguments(&[
            "--pod-subnet",
            "10.0.0.1/16",
            "--num-masters",
            "2",
            "--source",
            "?",
        ]);
    insta::assert_snapshot!(case.problems(), @r"
    config.yaml:1: verbose: `loud` is not a whole number; give a whole number from 0 to 9
    config.yaml:4: clustr.id: is no setting; did you mean cluster.id?
    config.yaml:6: cluster.label: `X` cannot be a label: only lower case letters, digits and `-` are allowed; give 1 to 32 lowercase letters, digits and inner dashes, and no number alone or before a dash
    environment NUM_NODES: cluster.numNodes: `many` is not a whole number; give a whole number from 0 to 100
    environment K8S_DIND_LABLE: is no setting; did you mean K8S_DIND_LABEL?
    flag --source: source.kind: `?` is not known; give `auto`, `release` or `modules`
    flag --num-masters: cluster.numMasters: `2` is not one of the numbers that can be; give `1`, `3` or `5`
    flag --pod-subnet: cluster.podSubnet: `10.0.0.1/16` is an address within a range; the range is 10.0.0.0/16
    ");
}
