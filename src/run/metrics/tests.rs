use super::*;
use crate::run::health::{NodeHealth, Restarts};

#[path = "../../../tests/exposition.rs"]
mod exposition;

fn told() -> Told {
    let node = |name: &str, role: &str, ready| NodeHealth {
        name: name.to_owned(),
        role: role.to_owned(),
        ready,
        version: Some("v1.36.3".to_owned()),
    };
    Told {
        progress: Progress {
            phase: Phase::Up,
            stage: None,
            stages: vec![
                ("check".to_owned(), Duration::from_millis(120)),
                ("master".to_owned(), Duration::from_secs(2)),
            ],
            up: Some(Duration::from_millis(7_900)),
        },
        uptime: Duration::from_mins(1),
        health: Some(Health {
            problems: vec!["node kube-node-1 is not Ready".to_owned()],
            nodes: vec![
                node("kube-master", "master", true),
                node("kube-node-1", "worker", false),
            ],
            components: [("coredns", true), ("etcd", false)].into(),
            restarts: vec![Restarts {
                namespace: "default".to_owned(),
                pod: "odd\\ \"name\"\n".to_owned(),
                container: "a".to_owned(),
                count: 3,
            }],
        }),
    }
}

#[test]
fn all_is_told_in_the_form_of_openmetrics() {
    let text = render(told()).unwrap();
    let families = exposition::check(&text).unwrap();
    assert_eq!(families["local_cluster_node_ready"].len(), 2);
    insta::assert_snapshot!(text, @r#"
    # HELP local_cluster_build_info The version of local-cluster
    # TYPE local_cluster_build_info gauge
    local_cluster_build_info{version="0.1.0"} 1
    # HELP local_cluster_uptime_seconds How long the run has lasted
    # TYPE local_cluster_uptime_seconds gauge
    local_cluster_uptime_seconds 60.0
    # HELP local_cluster_phase Where the run is: one of them is 1
    # TYPE local_cluster_phase gauge
    local_cluster_phase{phase="coming-up"} 0
    local_cluster_phase{phase="up"} 1
    local_cluster_phase{phase="going-down"} 0
    # HELP local_cluster_up_stage_seconds How long each stage of bringing the cluster up took
    # TYPE local_cluster_up_stage_seconds gauge
    local_cluster_up_stage_seconds{stage="check"} 0.12
    local_cluster_up_stage_seconds{stage="master"} 2.0
    # HELP local_cluster_up_seconds How long all of it took
    # TYPE local_cluster_up_seconds gauge
    local_cluster_up_seconds 7.9
    # HELP local_cluster_healthy Whether the cluster works, as /healthz says it
    # TYPE local_cluster_healthy gauge
    local_cluster_healthy 0
    # HELP local_cluster_node_ready Whether the node runs and is Ready
    # TYPE local_cluster_node_ready gauge
    local_cluster_node_ready{node="kube-master",role="master"} 1
    local_cluster_node_ready{node="kube-node-1",role="worker"} 0
    # HELP local_cluster_node_info The version of the node's kubelet
    # TYPE local_cluster_node_info gauge
    local_cluster_node_info{node="kube-master",kubelet="v1.36.3"} 1
    local_cluster_node_info{node="kube-node-1",kubelet="v1.36.3"} 1
    # HELP local_cluster_component_healthy Whether the component works wherever it should run
    # TYPE local_cluster_component_healthy gauge
    local_cluster_component_healthy{component="coredns"} 1
    local_cluster_component_healthy{component="etcd"} 0
    # HELP local_cluster_container_restarts How often a container of a pod was started again
    # TYPE local_cluster_container_restarts gauge
    local_cluster_container_restarts{namespace="default",pod="odd\\ \"name\"\n",container="a"} 3
    # EOF
    "#);
}

#[test]
fn what_is_not_known_is_left_out() {
    let text = render(Told::default()).unwrap();
    let families = exposition::check(&text).unwrap();
    let names: Vec<&str> = families.keys().map(String::as_str).collect();
    insta::assert_snapshot!(names.join("\n"), @r"
    local_cluster_build_info
    local_cluster_healthy
    local_cluster_phase
    local_cluster_uptime_seconds
    ");
    assert!(
        text.contains("local_cluster_phase{phase=\"coming-up\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("local_cluster_healthy 0\n"), "{text}");
}

#[test]
fn the_check_sees_what_is_wrong() {
    for (text, wanted) in [
        ("# HELP a b\n# TYPE a gauge\na 1\n", "the end is missing"),
        ("a 1\n# EOF\n", "a family without a type"),
        ("# TYPE a gauge\na{b=\"c} 1\n# EOF\n", "no sample"),
        ("# TYPE a gauge\na one\n# EOF\n", "no sample"),
        ("# TYPE a counter\na 1\n# EOF\n", "a family without a type"),
        ("# TYPE a gauge\na 1\na 2\n# EOF\n", "told twice"),
        (
            "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n",
            "typed twice",
        ),
        ("# TYPE a gauge\na 1\n\n# EOF\n", "no sample"),
    ] {
        let error = exposition::check(text).unwrap_err();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}
