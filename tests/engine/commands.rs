//! Whole commands of the real binary on a fake engine.

use local_cluster::cluster::DEFAULT_VERSION;
use local_cluster::image::base::BaseChoice;
use local_cluster::image::{ImageInputs, ImagePlan, Origin};
use local_cluster::settings::BaseKind;
use serde_json::{Value, json};
use std::time::Duration;

use crate::fake::{Answer, Fake, done, json, refusal, stream};

/// Exit code, standard output, standard error.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(fake: &Fake, arguments: &[&str]) -> Ended {
    run_in(fake, arguments, &[])
}

/// Runs with these variables.
pub(crate) fn run_in(fake: &Fake, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let home = tempfile::tempdir().unwrap();
    let output = assert_cmd::Command::cargo_bin("local-cluster")
        .unwrap()
        .env_clear()
        .env("HOME", home.path())
        .env("DOCKER_HOST", fake.address())
        .envs(variables.iter().copied())
        .args(arguments)
        // One that hangs is killed, and has no exit code.
        .timeout(Duration::from_mins(1))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: without_log(&text(output.stderr)),
    }
}

/// What was told, without the name of the log: it has the time in it. The log is there, and private to this run.
fn without_log(told: &str) -> String {
    let Some((before, path)) = told.rsplit_once("the log of this run is ") else {
        return told.to_owned();
    };
    let log = std::fs::read_to_string(path.trim_end()).unwrap();
    assert!(log.contains("error: "), "{log}");
    format!("{before}the log of this run is LOG\n")
}

/// An engine that has these networks and containers, and no images.
pub(crate) fn engine(networks: &Value, containers: &Value) -> Fake {
    Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        (
            "GET /info",
            json(
                200,
                &json!({ "ServerVersion": "28.0.0", "MemTotal": 64_u64 << 30, "Driver": "overlay2" }),
            ),
        ),
        ("GET /networks", json(200, networks)),
        ("GET /containers/json", json(200, containers)),
        ("GET /volumes", json(200, &json!({ "Volumes": [] }))),
        ("GET /images/json", json(200, &json!([]))),
    ])
}

fn nothing() -> Fake {
    engine(&json!([]), &json!([]))
}

fn network(labels: &Value) -> Value {
    json!([{ "Name": "k8s-kubeadm-local-cluster", "Labels": labels, "IPAM": { "Config": [{ "Subnet": "10.192.0.0/24" }] } }])
}

/// Nothing but questions was asked.
pub(crate) fn assert_untouched(fake: &Fake) {
    assert!(
        fake.log().iter().all(|what| what.starts_with("GET ")),
        "{:?}",
        fake.log()
    );
}

#[test]
fn a_dry_run_prints_the_plan_and_does_nothing() {
    let fake = nothing();
    let ended = run(
        &fake,
        &["up", "--dry-run", "--source", "modules", "--num-nodes", "1"],
    );
    assert_eq!(ended.code, Some(0));
    for words in [
        "then it writes /",
        "makes `local-cluster` the current context of /",
        "keeps the fresh state as snapshot `fresh`",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    let stages: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with('['))
        .collect();
    assert_eq!(stages.first().copied(), Some("[base]"));
    assert_eq!(
        stages[stages.len() - 5..],
        [
            "[master]",
            "[api server]",
            "[workers]",
            "[control plane]",
            "[join]"
        ]
    );
    assert!(
        ended
            .stdout
            .contains("  create kube-node-1 at 10.192.0.3\n"),
        "{}",
        ended.stdout
    );
    assert_untouched(&fake);
    // The same for programs.
    let arguments = [
        "up",
        "--dry-run",
        "--source",
        "modules",
        "--num-nodes",
        "1",
        "--output",
        "json",
    ];
    let plan: Value = serde_json::from_str(&run(&nothing(), &arguments).stdout).unwrap();
    let stages = plan["plan"].as_array().unwrap();
    let last = stages.last().unwrap();
    let join = json!({ "stage": "join", "steps": ["wait for kubeadm join on kube-node-1"] });
    assert_eq!((stages[0]["stage"].as_str(), last), (Some("base"), &join));
}

/// What `up` would leave as it is, and what it would refuse.
#[test]
fn reup_makes_room_first() {
    let settings = json!({ "cluster.podSubnet": "10.77.0.0/16" }).to_string();
    let labels = json!({ "local-cluster.role": "master", "local-cluster.settings": settings });
    let containers = json!([{ "Names": ["/kube-master"], "State": "running", "Labels": labels }]);
    let fake = engine(&json!([]), &containers);
    let ended = run(
        &fake,
        &[
            "reup",
            "--dry-run",
            "--source",
            "modules",
            "--num-nodes",
            "0",
        ],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("what was done in it is lost"),
        "{}",
        ended.stderr
    );
    let (_, cluster) = ended.stdout.split_once("[old nodes]").unwrap();
    insta::assert_snapshot!(cluster, @r"

      remove kube-master
    [network]
      create the network
    [master]
      create kube-master at 10.192.0.2
    [control plane]
      wait for kubeadm init on kube-master
    ");
    assert_untouched(&fake);
}

#[test]
fn ranges_that_others_have_are_refused_before_anything_is_made() {
    let others =
        json!([{ "Name": "theirs", "IPAM": { "Config": [{ "Subnet": "10.192.0.0/20" }] } }]);
    let fake = engine(&others, &json!([]));
    let ended = run(&fake, &["up", "--source", "modules"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ended.stderr, @r"
    local-cluster up: cluster `local-cluster`
    error: `dind.subnet` 10.192.0.0/24 overlaps Docker network `theirs` (10.192.0.0/20); 10.193.0.0/16 is free

    hint: choose other ranges with `--dind-subnet`, `--pod-subnet` or `--service-subnet`

    the log of this run is LOG
    ");
    assert_untouched(&fake);
}

#[test]
fn images_are_not_built_where_no_node_could_run() {
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        (
            "GET /info",
            json(
                200,
                &json!({ "ServerVersion": "28.0.0", "MemTotal": 64_u64 << 30, "Driver": "overlay2", "DockerRootDir": "/data",
                         "DriverStatus": [["Backing Filesystem", "overlayfs"]] }),
            ),
        ),
        ("GET /containers/json", json(200, &json!([]))),
        ("GET /volumes", json(200, &json!({ "Volumes": [] }))),
        ("GET /images/json", json(200, &json!([]))),
    ]);
    let ended = run(&fake, &["image", "build", "--source", "modules"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let (first, rest) = ended.stderr.split_once('\n').unwrap();
    assert_eq!(first, "local-cluster image build");
    assert!(
        rest.starts_with("error: the engine keeps its data on an overlay file system (/data)"),
        "{rest}"
    );
    assert_untouched(&fake);
}

#[test]
fn a_cluster_keeps_its_settings() {
    let settings =
        json!({ "cluster.podSubnet": "10.244.0.0/16", "source.kubernetesVersion": "1.30.1" })
            .to_string();
    let labels = json!({ "local-cluster.cluster": "local-cluster" });
    let containers = json!([{ "Names": ["/kube-master"], "State": "exited",
        "Labels": { "local-cluster.role": "master", "local-cluster.settings": settings } }]);
    let fake = engine(&network(&labels), &containers);
    let ended = run(
        &fake,
        &[
            "up",
            "--source",
            "modules",
            "--kubernetes-version",
            "1.36.3",
            "--pod-subnet",
            "10.100.0.0/16",
        ],
    );
    assert_eq!(ended.code, Some(1));
    insta::assert_snapshot!(ended.stderr, @r"
    local-cluster up: cluster `local-cluster`
    error: cluster `local-cluster` was made with other settings: `cluster.podSubnet` is 10.244.0.0/16 and 10.100.0.0/16 is wanted; `source.kubernetesVersion` is 1.30.1 and 1.36.3 is wanted

    hint: give the settings that it has, or remove it with `local-cluster down` and make it anew

    the log of this run is LOG
    ");
    assert_untouched(&fake);
}

#[test]
fn a_network_of_others_is_not_taken() {
    let fake = engine(&network(&json!({})), &json!([]));
    let ended = run(&fake, &["up", "--source", "modules"]);
    assert_eq!(ended.code, Some(1));
    insta::assert_snapshot!(ended.stderr, @r"
    local-cluster up: cluster `local-cluster`
    error: there is a network `k8s-kubeadm-local-cluster` that is not ours

    hint: remove it, or choose another cluster with `--cluster-id` or `--label`

    the log of this run is LOG
    ");
    assert_untouched(&fake);
}

/// The network of a clone carries larger packets than an ordinary cluster's.
#[test]
fn a_network_that_a_clone_has_left_is_made_anew() {
    let labels = json!({ "local-cluster.cluster": "local-cluster", "local-cluster.id": "0" });
    let planned = |mtu: &str, containers: &Value| {
        let mut network = network(&labels);
        network[0]["Options"] = json!({ "com.docker.network.driver.mtu": mtu });
        let fake = engine(&network, containers);
        let arguments = [
            "reup",
            "--dry-run",
            "--source",
            "modules",
            "--num-nodes",
            "0",
        ];
        let ended = run(&fake, &arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_untouched(&fake);
        let goes = "  remove network k8s-kubeadm-local-cluster, which is made anew\n[network]\n  create the network";
        (
            ended.stdout.contains("network"),
            ended.stdout.contains(goes),
            ended.stdout,
        )
    };
    let (_, goes, plan) = planned("1550", &json!([]));
    assert!(goes, "{plan}");
    // An engine may have a size of its own for all networks.
    let (named, _, plan) = planned("1400", &json!([]));
    assert!(!named, "{plan}");
    let old = json!([{ "Names": ["/kube-master"], "State": "running", "Labels": { "local-cluster.role": "master",
        "local-cluster.settings": "{}" } }]);
    let (_, goes, plan) = planned("1550", &old);
    assert!(goes, "{plan}");
    assert!(
        plan.find("remove kube-master") < plan.find("remove network"),
        "{plan}"
    );
}

/// Two that choose a number at once: Docker gives its range to one of them.
#[test]
fn a_label_whose_number_another_run_took_gets_the_next() {
    let path = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let images = ImagePlan::new(&ImageInputs {
        version: DEFAULT_VERSION,
        origin: Origin::Modules,
        base: BaseChoice {
            kind: BaseKind::Auto,
            name: "auto".to_owned(),
            sha256: None,
            debian_mirror: None,
        },
        preload: Vec::new(),
        ca_bundle: std::fs::read("/etc/ssl/certs/ca-certificates.crt").ok(),
    });
    let (node, preload) = (&images.node, &images.preload);
    let other = json!([{ "Name": "theirs",
        "Labels": { "local-cluster.cluster": "local-cluster-other", "local-cluster.id": "1" },
        "IPAM": { "Config": [{ "Subnet": "10.192.1.0/24" }] } }]);
    let image = json!([{ "Id": "0", "ParentId": "", "RepoTags": [node], "RepoDigests": [], "Created": 0, "Size": 0,
        "SharedSize": 0, "Labels": {}, "Containers": 0 }]);
    let job = json!([{ "Names": [format!("/{preload}")], "State": "exited", "Status": "Exited (0) 1 second ago" }]);
    let volume = json!({ "Name": preload, "Driver": "local", "Mountpoint": "/", "Scope": "local", "Options": {}, "Labels": {} });
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        (
            "GET /info",
            json(
                200,
                &json!({ "ServerVersion": "28.0.0", "MemTotal": 64_u64 << 30, "Driver": "overlay2" }),
            ),
        ),
        ("GET /networks", json(200, &json!([]))),
        // It has the range before it can be seen.
        ("GET /networks", json(200, &json!([]))),
        ("GET /networks", json(200, &other)),
        ("GET /containers/json", json(200, &job)),
        ("GET /volumes", json(200, &json!({ "Volumes": [volume] }))),
        ("GET /images/json", json(200, &image)),
        (
            path(format!("GET /images/{node}/json")),
            json(
                200,
                &json!({ "Config": { "Labels": { "local-cluster.rights": "privileged", "local-cluster.rights-of": "" } } }),
            ),
        ),
        (
            "POST /networks/create",
            refusal(403, "Pool overlaps with other one on this address space"),
        ),
        (
            "POST /networks/create",
            json(201, &json!({ "Id": "0", "Warning": "" })),
        ),
        ("POST /volumes/create", refusal(500, "that is enough")),
    ]);
    let ended = run(
        &fake,
        &[
            "up",
            "--label",
            "dev",
            "--source",
            "modules",
            "--num-nodes",
            "0",
        ],
    );
    assert_eq!(ended.code, Some(1));
    for part in [
        "another run has taken cluster id 1: this cluster gets 2",
        "that is enough",
    ] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    let made: Vec<Value> = fake
        .asked()
        .iter()
        .filter(|asked| asked.what == "POST /networks/create")
        .map(|asked| asked.json()["IPAM"]["Config"][0]["Subnet"].clone())
        .collect();
    assert_eq!(made, ["10.192.1.0/24", "10.192.2.0/24"]);
}

#[test]
fn ranges_that_overlap_each_other_are_wrong_settings() {
    let fake = nothing();
    let ended = run(
        &fake,
        &[
            "up",
            "--source",
            "modules",
            "--service-subnet",
            "10.244.0.0/16",
        ],
    );
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("10.244.0.0/16"), "{}", ended.stderr);
    assert_untouched(&fake);
}

#[test]
fn down_takes_away_what_is_found_by_label() {
    // What is made of the node image has the label of the job that made it, and is none.
    let master =
        json!({ "local-cluster.cluster": "local-cluster", "local-cluster.job": "install" });
    let mounts = json!([{ "Type": "volume", "Name": "kube-master-data", "Destination": "/data" }]);
    let containers = json!([
        { "Names": ["/kube-master"], "State": "running", "Labels": master, "Mounts": mounts },
        { "Names": ["/kube-node-1"], "State": "exited", "Labels": { "local-cluster.role": "worker" } },
    ]);
    let volumes = json!({ "Volumes": [
        { "Name": "kube-master-data", "Driver": "local", "Mountpoint": "/", "Scope": "local", "Options": {}, "Labels": {} },
    ] });
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        ("GET /containers/json", json(200, &containers)),
        ("GET /volumes", json(200, &volumes)),
        ("DELETE /containers/kube-master", done()),
        // Gone in the meantime.
        (
            "DELETE /containers/kube-node-1",
            refusal(404, "No such container"),
        ),
        ("DELETE /volumes/kube-master-data", done()),
    ]);
    let ended = run(&fake, &["down"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let words = "is lost, but for its snapshots: `local-cluster stop` keeps it";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    let log = fake.log();
    assert_eq!(
        log.iter()
            .filter(|what| what.starts_with("DELETE "))
            .count(),
        3,
        "{log:?}"
    );
    let last = log.iter().rfind(|what| what.starts_with("DELETE "));
    assert_eq!(
        last.map(String::as_str),
        Some("DELETE /volumes/kube-master-data")
    );
    for asked in fake.all("GET /volumes") {
        let query = asked.query;
        assert!(
            query.contains("local-cluster.cluster%3Dlocal-cluster%22"),
            "{query}"
        );
    }
}

#[test]
fn down_and_clean_of_nothing_are_fine() {
    let ended = run(&nothing(), &["down"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the cluster was not there"),
        "{}",
        ended.stderr
    );
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        ("GET /containers/json", json(200, &json!([]))),
        ("GET /volumes", json(200, &json!({ "Volumes": null }))),
        (
            "GET /networks",
            json(
                200,
                &network(&json!({ "local-cluster.cluster": "local-cluster" })),
            ),
        ),
        (
            "DELETE /networks/k8s-kubeadm-local-cluster",
            refusal(404, "network not found"),
        ),
    ]);
    let ended = run(&fake, &["clean"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_failure_to_remove_one_node_does_not_keep_the_others() {
    let containers =
        json!([{ "Names": ["/a"], "State": "running" }, { "Names": ["/b"], "State": "running" }]);
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        ("GET /containers/json", json(200, &containers)),
        ("GET /volumes", json(200, &json!({ "Volumes": [] }))),
        (
            "DELETE /containers/a",
            refusal(500, "device or resource busy"),
        ),
        ("DELETE /containers/b", done()),
    ]);
    let ended = run(&fake, &["down"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("cannot remove container a"),
        "{}",
        ended.stderr
    );
    assert!(fake.log().iter().any(|what| what == "DELETE /containers/b"));
}

#[test]
fn the_status_of_a_cluster_that_is_not_there() {
    let ended = run(&nothing(), &["status"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (
            Some(1),
            "there is no cluster `local-cluster`: `local-cluster up` makes it\n"
        )
    );
    let ended = run(
        &nothing(),
        &["status", "--output", "json", "--cluster-id", "7"],
    );
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (
            &status["cluster"],
            &status["exists"],
            &status["nodes"],
            &status["problem"]
        ),
        (
            &json!("local-cluster-7"),
            &json!(false),
            &json!([]),
            &Value::Null
        )
    );
}

#[test]
fn the_status_of_a_cluster_that_is_stopped() {
    let node = |name: &str, role: &str, state: &str, status: &str| {
        json!({ "Names": [format!("/{name}")], "State": state, "Status": status,
                "Labels": { "local-cluster.role": role, "local-cluster.node": name } })
    };
    let containers = json!([
        node("kube-node-1", "worker", "paused", "Up 1 second (Paused)"),
        node(
            "kube-master",
            "master",
            "exited",
            "Exited (0) 2 minutes ago"
        ),
    ]);
    let ended = run(&engine(&json!([]), &containers), &["status"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ended.stdout, @r"
    cluster local-cluster: kube-master, kube-node-1 not running; `local-cluster start` brings it back
    api server unreachable: the master does not run
    NAME         ROLE    STATE    READY    CONTAINER
    kube-master  master  stopped  unknown  kube-master
    kube-node-1  worker  paused   unknown  kube-node-1
    ");
}

#[test]
fn what_needs_a_cluster_says_that_there_is_none() {
    for arguments in [
        &["kubeconfig"][..],
        &["apiserver-port"],
        &["kubectl", "get", "nodes"],
        &["exec", "kube-master", "true"],
        &["stop"],
        &["start"],
        &["pause", "kube-master"],
        &["unpause"],
    ] {
        let ended = run(&nothing(), arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{arguments:?}"
        );
        assert!(
            ended.stderr.starts_with(
                "error: there is no cluster `local-cluster`\n\nhint: make it with `local-cluster up`\n"
            ),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_command_in_a_node_that_is_not_there() {
    let containers = json!([{ "Names": ["/kube-master"], "State": "running",
                              "Labels": { "local-cluster.role": "master", "local-cluster.node": "kube-master" } }]);
    let ended = run(
        &engine(&json!([]), &containers),
        &["exec", "kube-node-9", "true"],
    );
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "error: there is no node `kube-node-9`\n\nhint: its nodes are kube-master\n"
    );
}

#[test]
fn the_port_of_the_api_server_is_data() {
    let containers = json!([{ "Names": ["/kube-master"], "State": "exited", "Status": "Exited (0) 1 second ago",
                              "Labels": { "local-cluster.role": "master", "local-cluster.node": "kube-master" } }]);
    let bindings = json!({ "HostConfig": { "PortBindings": { "6443/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "16443" }] } } });
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        ("GET /containers/json", json(200, &containers)),
        ("GET /containers/kube-master/json", json(200, &bindings)),
    ]);
    let ended = run(&fake, &["apiserver-port"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(0), "16443\n", "")
    );
}

#[test]
fn a_command_in_a_node_ends_as_it_ends() {
    let containers = json!([{ "Names": ["/kube-master"], "State": "running",
                              "Labels": { "local-cluster.role": "master", "local-cluster.node": "kube-master" } }]);
    let output = crate::fake::frames(&[(1, "out\n"), (2, "err\n")]);
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        ("GET /containers/json", json(200, &containers)),
        (
            "POST /containers/kube-master/exec",
            json(201, &json!({ "Id": "e" })),
        ),
        ("POST /exec/e/start", Answer::Upgraded(output)),
        ("GET /exec/e/json", json(200, &json!({ "ExitCode": 42 }))),
    ]);
    let ended = run(&fake, &["exec", "kube-master", "sh", "-c", "x"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(42), "out\n", "err\n")
    );
    assert_eq!(
        fake.only("POST /containers/kube-master/exec").json()["Cmd"],
        json!(["sh", "-c", "x"])
    );
}

#[test]
fn a_command_in_a_node_gets_what_is_at_standard_input() {
    use std::process::Stdio;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input");
    std::fs::write(&file, "input").unwrap();
    // A pipe that nobody ever closes or writes to: the command's end is the end.
    let (open, _writer) = std::io::pipe().unwrap();
    for (stdin, attached) in [
        (Stdio::from(std::fs::File::open(&file).unwrap()), true),
        (Stdio::from(open), true),
        (Stdio::null(), false),
    ] {
        let containers = json!([{ "Names": ["/kube-master"], "State": "running",
                                  "Labels": { "local-cluster.role": "master", "local-cluster.node": "kube-master" } }]);
        let fake = Fake::new([
            (
                "GET /version",
                json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
            ),
            ("GET /containers/json", json(200, &containers)),
            (
                "POST /containers/kube-master/exec",
                json(201, &json!({ "Id": "e" })),
            ),
            (
                "POST /exec/e/start",
                Answer::Upgraded(crate::fake::frames(&[(1, "out\n")])),
            ),
            ("GET /exec/e/json", json(200, &json!({ "ExitCode": 0 }))),
        ]);
        let output = std::process::Command::new(assert_cmd::cargo::cargo_bin("local-cluster"))
            .env_clear()
            .env("HOME", directory.path())
            .env("DOCKER_HOST", fake.address())
            .args(["exec", "kube-master", "cat"])
            .stdin(stdin)
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"out\n");
        let asked = fake.only("POST /containers/kube-master/exec").json();
        assert_eq!(asked["AttachStdin"], json!(attached));
    }
}

/// Waits for the pull of the base, interrupts it, and gives how the run ended.
async fn interrupted(signal: &str) -> (Fake, Ended) {
    let fake = Fake::new([
        (
            "GET /version",
            json(200, &json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
        ),
        (
            "GET /info",
            json(
                200,
                &json!({ "ServerVersion": "28.0.0", "MemTotal": 64_u64 << 30, "Driver": "overlay2" }),
            ),
        ),
        ("GET /networks", json(200, &json!([]))),
        ("GET /containers/json", json(200, &json!([]))),
        ("GET /volumes", json(200, &json!({ "Volumes": [] }))),
        ("GET /images/json", json(200, &json!([]))),
        (
            "GET /images/debian:trixie-slim/json",
            refusal(404, "No such image"),
        ),
        (
            "POST /images/create",
            Answer::Unfinished(stream(&[json!({ "status": "Pulling" })])),
        ),
    ]);
    let home = tempfile::tempdir().unwrap();
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin("local-cluster"))
        .env_clear()
        .env("HOME", home.path())
        .env("DOCKER_HOST", fake.address())
        .args(["up", "--source", "modules"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    fake.until_asked("POST /images/create").await;
    let sent = std::process::Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ended = Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    (fake, ended)
}

#[tokio::test]
async fn a_signal_ends_the_run_and_what_it_waits_for() {
    for signal in ["INT", "TERM"] {
        let (fake, ended) = interrupted(signal).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(130), ""),
            "{signal}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("interrupted after stage `check`"),
            "{signal}: {}",
            ended.stderr
        );
        assert!(
            ended
                .stderr
                .contains("hint: run the same command again to go on"),
            "{signal}: {}",
            ended.stderr
        );
        fake.until_given_up(1).await;
        // No other way to a base is tried, and nothing is made.
        assert!(
            !fake
                .log()
                .iter()
                .any(|what| what.contains("/containers/create")),
            "{:?}",
            fake.log()
        );
    }
}
