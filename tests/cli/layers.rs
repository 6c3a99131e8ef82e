//! Which layer wins, and that it is known which did.

use local_cluster::settings::{BaseKind, CniPlugin, Loaded, SourceKind};

use super::Case;

fn loaded(case: &Case) -> Loaded {
    case.load().unwrap_or_else(|problems| panic!("{problems}"))
}

fn origin(case: &Case, name: &str) -> String {
    let loaded = loaded(case);
    let of = loaded.origins.iter().find(|of| of.name == name).unwrap();
    case.without_place(&format!("{} from {}", of.value, of.origin))
}

#[test]
fn defaults_are_the_file_of_defaults() {
    let loaded = loaded(&Case::new());
    insta::assert_debug_snapshot!(loaded.settings);
    assert!(loaded.origins.iter().all(|of| of.origin == "default"));
    assert_eq!(loaded.file, None);
    assert_eq!(loaded.settings.source.kind, SourceKind::Auto);
    assert_eq!(loaded.settings.cluster.cni_plugin, CniPlugin::Bridge);
    assert_eq!(loaded.settings.image.base_kind(), BaseKind::Auto);
}

#[test]
fn the_higher_layer_wins() {
    let case = Case::new();
    assert_eq!(origin(&case, "cluster.numNodes"), "2 from default");
    let case = case.file("version: 1\ncluster:\n  numNodes: 3\n");
    assert_eq!(
        origin(&case, "cluster.numNodes"),
        "3 from file config.yaml:3"
    );
    let case = case.variable("NUM_NODES", "4");
    assert_eq!(
        origin(&case, "cluster.numNodes"),
        "4 from environment NUM_NODES"
    );
    let case = case.variable("K8S_DIND_NUM_NODES", "5");
    assert_eq!(
        origin(&case, "cluster.numNodes"),
        "5 from environment K8S_DIND_NUM_NODES"
    );
    let case = case.arguments(&["up", "--num-nodes", "6"]);
    assert_eq!(origin(&case, "cluster.numNodes"), "6 from flag --num-nodes");
    assert_eq!(loaded(&case).settings.cluster.num_nodes, 6);
    assert_eq!(loaded(&case).file, Some(case.home().join("config.yaml")));
}

#[test]
fn a_higher_layer_can_take_a_value_away() {
    let case = Case::new().file("cluster:\n  label: dev\n  id: 3\n");
    assert_eq!(loaded(&case).settings.cluster.label.as_deref(), Some("dev"));
    let case = case.arguments(&["--label", "", "up"]);
    assert_eq!(loaded(&case).settings.cluster.label, None);
    assert_eq!(loaded(&case).settings.cluster.id, Some(3));
}

#[test]
fn an_empty_variable_is_not_there() {
    let case = Case::new()
        .variable("K8S_DIND_NUM_NODES", "")
        .variable("CLUSTER_ID", "");
    assert_eq!(origin(&case, "cluster.numNodes"), "2 from default");
    assert_eq!(origin(&case, "cluster.id"), " from default");
}

#[test]
fn a_negated_flag_is_the_opposite_of_its_setting() {
    let merges = |case: Case| loaded(&case).settings.kubeconfig.merge;
    assert!(merges(Case::new()));
    assert!(!merges(Case::new().arguments(&["--no-merge"])));
    assert!(!merges(Case::new().variable("K8S_DIND_NO_MERGE", "true")));
    assert!(!merges(Case::new().file("kubeconfig: {merge: false}")));
    let case = Case::new()
        .file("kubeconfig: {merge: false}")
        .arguments(&["--no-merge=false"]);
    assert!(merges(case));
}

#[test]
fn a_version_needs_no_quotes() {
    for text in [
        "1.30",
        "'1.30'",
        "v1.30",
        "stable-1.30",
        "stable",
        "latest",
        "1.35.4",
        "v1.23.0",
    ] {
        let case = Case::new().file(&format!("source:\n  kubernetesVersion: {text}\n"));
        let wanted = text.trim_matches('\'');
        assert_eq!(loaded(&case).settings.source.kubernetes_version, wanted);
    }
    let case = Case::new().variable("K8S_DIND_KUBERNETES_VERSION", "1.30");
    assert_eq!(loaded(&case).settings.source.kubernetes_version, "1.30");
}

#[test]
fn keys_can_be_nested_or_dotted_and_lists_can_be_text() {
    let case = Case::new().file("cluster.numNodes: 7\nimage: {preload: agnhost}\ncluster:\n");
    assert_eq!(loaded(&case).settings.cluster.num_nodes, 7);
    assert_eq!(loaded(&case).settings.image.preload, ["agnhost"]);
    let case = Case::new().file("image:\n  preload:\n  - agnhost\n  - agnhost\n");
    assert_eq!(loaded(&case).settings.image.preload, ["agnhost"]);
}

#[test]
fn the_older_tools_variables_are_understood() {
    let case = Case::new()
        .variable("CLUSTER_ID", "5")
        .variable("DIND_LABEL", "old")
        .variable("APISERVER_PORT", "8899")
        .variable("CNI_PLUGIN", "bridge")
        .variable("POD_NETWORK_CIDR", "10.50.0.0/16")
        .variable("SERVICE_CIDR", "10.60.0.0/16")
        .variable("DIND_CRI", "containerd")
        .variable("IP_MODE", "ipv4")
        .variable("SKIP_SNAPSHOT", "no, but anything is yes there")
        .variable("MGMT_CIDRS", "ignored")
        .variable("DIND_SUBNET", "ignored");
    insta::assert_debug_snapshot!(loaded(&case).settings.cluster);
}

#[test]
fn what_is_so_today_can_be_said() {
    let case = Case::new()
        .file("cluster:\n  numMasters: 1\n  ipMode: ipv4\n  addons: ''\n  skipSnapshot: true\n")
        .variable("K8S_DIND_BUILD_KUBEADM", "false");
    assert_eq!(case.problems(), "fine");
}

#[test]
fn another_file_can_be_named() {
    let case = Case::new().file("verbose: 2\n");
    let other = case.home().join("other.yaml");
    std::fs::write(&other, "verbose: 3\n").unwrap();
    let case = case.variable("LOCAL_CLUSTER_CONF", &other.to_string_lossy());
    assert_eq!(origin(&case, "verbose"), "3 from file other.yaml:1");
    assert_eq!(loaded(&case).file, Some(other));
}

#[test]
fn the_file_of_defaults_is_a_good_configuration_file() {
    let plain = loaded(&Case::new()).settings;
    let case = Case::new().file(local_cluster::settings::DEFAULTS);
    assert_eq!(loaded(&case).settings, plain);
}
