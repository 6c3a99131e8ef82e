//! Dumps of one cluster, whole and broken in several ways: complete as far as can be, and the same again when split.

use crate::program::Program;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

type Files = BTreeMap<String, String>;

/// What nobody but the cluster may know, wherever it is written.
const PLANTED: [&str; 7] = [
    "zq4t7k.planted0planted0",
    "eyJhbGciOiJQTEFOVEVE",
    "planted-password-one",
    "planted-password-two",
    "planted-proxy-password",
    "plantedkeyplantedkey",
    "planted-in-a-secret",
];

const MANIFEST: &str = r#"
apiVersion: v1
kind: Secret
metadata: { name: hidden }
stringData: { any: planted-in-a-secret }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: loose }
data:
  join.sh: kubeadm join --token zq4t7k.planted0planted0
  proxy: http://user:planted-proxy-password@proxy:3128
  key.pem: |
    -----BEGIN PRIVATE KEY-----
    plantedkeyplantedkey
    -----END PRIVATE KEY-----
---
apiVersion: v1
kind: Pod
metadata: { name: talker }
spec:
  nodeName: kube-node-1
  restartPolicy: Always
  initContainers:
    - name: first
      image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
      command: ["sh", "-c", "echo init speaks"]
  containers:
    - name: main
      image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
      env:
        - { name: DB_PASSWORD, value: planted-password-one }
      command:
        - sh
        - -c
        - |
          echo "main speaks, password=planted-password-two"
          echo "Authorization: Bearer eyJhbGciOiJQTEFOVEVE.eyJhbGciOiJQTEFOVEVE.eyJhbGciOiJQTEFOVEVE"
          [ -e /tmp/again ] || sleep 2
          test -e /data/again && exec sleep infinity
          : >/data/again
      volumeMounts: [{ name: data, mountPath: /data }]
  volumes: [{ name: data, emptyDir: {} }]
"#;

/// Dumps in the packed form, weaves the lines of others in, and splits it again: which compares it, byte for byte.
fn dump(program: &Program, name: &str) -> Files {
    let packed = program.ok(&["dump64"]);
    let mut log = Vec::new();
    for (number, line) in packed.lines().enumerate() {
        writeln!(log, "2026-11-21T15:00:00.{number:07}Z \u{1b}[0m{line}\r").unwrap();
        if number % 7 == 0 {
            writeln!(log, "2026-11-21T15:00:00.1234567Z ok").unwrap();
        }
    }
    let log_path = program.home().join(format!("{name}.log"));
    std::fs::write(&log_path, log).unwrap();
    let directory = program.home().join(name);
    program.ok(&[
        "split-dump64",
        "--to",
        directory.to_str().unwrap(),
        log_path.to_str().unwrap(),
    ]);
    let files = read(&directory);
    // What was measured, for who runs this with `--nocapture`.
    let told = files["index.txt"].split("\nleft out").next().unwrap();
    let mut out = std::io::stdout();
    let line = format!(
        "{name}: {} files, {} bytes packed",
        files.len(),
        packed.len()
    );
    writeln!(out, "{line}; {told}").unwrap();
    for (path, text) in &files {
        for secret in PLANTED {
            assert!(!text.contains(secret), "{secret} in {path} of {name}");
        }
    }
    files
}

fn read(directory: &Path) -> Files {
    let (mut files, mut left) = (Files::new(), vec![directory.to_owned()]);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let name = path
                .strip_prefix(directory)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            files.insert(
                name,
                String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(),
            );
        }
    }
    files
}

fn has(files: &Files, path: &str, text: &str) {
    let found = files
        .get(path)
        .unwrap_or_else(|| panic!("no {path} in\n{}", files["index.txt"]));
    assert!(found.contains(text), "no `{text}` in {path}:\n{found}");
}

/// Lines of the index about what could not be had.
fn failures(files: &Files) -> Vec<&str> {
    let (_, list) = files["index.txt"]
        .split_once("\nwhat could not be had")
        .unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    list.lines().skip(1).map(str::trim).collect()
}

/// What a node has whatever else is broken, as long as it runs.
fn has_node(files: &Files, node: &str) {
    for (path, text) in [
        ("journal/kubelet.log", "kubelet"),
        ("journal/all.log", "containerd"),
        ("network/iptables.txt", "LOCAL-CLUSTER"),
        ("network/routes.txt", "10.244."),
        ("network/nft.txt", ""),
        ("network/addresses.txt", "eth0"),
        ("processes.txt", "kubelet"),
        ("cgroups/tree.txt", "kubelet.service"),
        ("disk.txt", "overlay"),
        ("memory.txt", "MemAvailable"),
        ("units.txt", "containerd.service"),
        ("versions.txt", "Kubernetes v1."),
        ("local-cluster/kubeadm.yaml", "kind: "),
    ] {
        has(files, &format!("{node}/{path}"), text);
    }
    has(
        files,
        &format!("engine/containers/{node}-cluster-215.json"),
        "\"State\"",
    );
}

/// What the pod's container says at each start: which is its last depends on how often it was started.
fn has_talker(files: &Files) {
    let mut logs = files
        .iter()
        .filter(|(path, _)| path.starts_with("kube-node-1/pods/default/talker/main/"));
    assert!(
        logs.any(|(_, text)| text.contains("main speaks")),
        "{:?}",
        files.keys()
    );
}

#[test]
fn whatever_is_broken_the_rest_is_dumped() {
    let program = Program::new(215);
    program.ok(&["up", "--num-nodes", "1"]);
    healthy(&program);
    without_network(&program);
    hanging_runtime(&program);
    stopped_node(&program);
    dead_api_server(&program);
    all_stopped(&program);
}

fn healthy(program: &Program) {
    let manifest = program.home().join("planted.yaml");
    std::fs::write(&manifest, MANIFEST).unwrap();
    program.kubectl(&["apply", "-f", manifest.to_str().unwrap()]);
    let proxies = "echo 'HTTPS_PROXY=\"http://user:planted-proxy-password@proxy:3128\"' >>/data/local-cluster/proxy.env";
    program.exec("kube-node-1", &["sh", "-c", proxies]);
    program.until("the pod has been started again", |program| {
        let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
        let count = program
            .run(&["kubectl", "get", "pod", "talker", "-o", restarts])
            .stdout;
        count
            .first()
            .is_some_and(|digit| (b'1'..=b'9').contains(digit))
    });
    let files = dump(program, "healthy");
    assert_eq!(failures(&files), Vec::<&str>::new());
    for node in ["kube-master", "kube-node-1"] {
        has_node(&files, node);
        has(&files, &format!("{node}/containerd/tasks.txt"), "RUNNING");
        has(&files, &format!("{node}/kubelet/healthz.txt"), "ok");
    }
    for (path, text) in [
        ("api/nodes.txt", "kube-node-1"),
        ("api/pods.txt", "talker"),
        ("api/events.txt", "Created"),
        ("api/readyz.txt", "readyz check passed"),
        ("api/namespaces/default/configmaps.yaml", "name: loose"),
        ("api/namespaces/default/pods.yaml", "value: '[redacted]'"),
        (
            "api/namespaces/kube-system/deployments.apps.yaml",
            "coredns",
        ),
        ("api/cluster/nodes.yaml", "podCIDR"),
        ("kube-node-1/pods/default/talker/first/0.log", "init speaks"),
        (
            "kube-node-1/pods/default/talker/main/0.log",
            "main speaks, password=[redacted]",
        ),
        ("kube-node-1/pods/default/talker/main/1.log", "main speaks"),
        (
            "kube-master/etc/kubernetes/admin.conf",
            "client-key-data: '[redacted]'",
        ),
        (
            "kube-master/etc/kubernetes/manifests/kube-apiserver.yaml",
            "kube-apiserver",
        ),
        (
            "kube-node-1/etc/cni/net.d/10-local-cluster.conflist",
            "bridge",
        ),
        ("kube-node-1/kubelet/config.yaml", "KubeletConfiguration"),
        (
            "kube-node-1/local-cluster/proxy.env",
            "[redacted]@proxy:3128",
        ),
        ("kube-master/etcd/health.txt", "\"health\":\"true\""),
        (
            "engine/networks/k8s-kubeadm-local-cluster-cluster-215.json",
            "10.192.215.0/24",
        ),
    ] {
        has(&files, path, &text.replace("'[redacted]'", "[redacted]"));
    }
    assert!(
        !files.keys().any(|path| path.contains("secrets")),
        "{:?}",
        files.keys()
    );
    forms(program);
}

/// The other forms of the same, and settings of today that cannot be used.
fn forms(program: &Program) {
    let home = program.home();
    let at = |name: &str| home.join(name).to_str().unwrap().to_owned();
    program.ok(&["dump", "--to", &at("directory")]);
    let files = read(&home.join("directory"));
    has_node(&files, "kube-node-1");
    program.ok(&["dump", "--tar", &at("dump.tar.xz")]);
    let listed = std::process::Command::new("tar")
        .args(["-tJf", &at("dump.tar.xz")])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.starts_with("cluster-dump/index.txt\n")
            && listed.contains("/kube-master/journal/kubelet.log\n"),
        "{listed}"
    );
    let output = program
        .command(&["dump"])
        .env("K8S_DIND_NUM_NODES", "lots")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("the settings cannot be used"),
        "{told}"
    );
    std::fs::write(home.join("dump.txt"), &output.stdout).unwrap();
    program.ok(&["split-dump", "--to", &at("plain"), &at("dump.txt")]);
    has_node(&read(&home.join("plain")), "kube-master");
}

fn without_network(program: &Program) {
    let conflist = "/etc/cni/net.d/10-local-cluster.conflist";
    program.exec("kube-node-1", &["mv", conflist, "/run/aside"]);
    let is_ready = |program: &Program| {
        let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        program.kubectl(&["get", "node", "kube-node-1", "-o", path]) == "True"
    };
    program.until("the node says that it has no network", |program| {
        !is_ready(program)
    });
    let files = dump(program, "without-network");
    assert_eq!(failures(&files), Vec::<&str>::new());
    has_node(&files, "kube-node-1");
    has(&files, "api/nodes.txt", "NotReady");
    has(
        &files,
        "api/cluster/nodes.yaml",
        "cni plugin not initialized",
    );
    assert!(!files.contains_key(&format!("kube-node-1{conflist}")));
    program.exec("kube-node-1", &["mv", "/run/aside", conflist]);
    program.until("the node is Ready again", is_ready);
}

fn hanging_runtime(program: &Program) {
    let signal = |name: &str| {
        program.exec(
            "kube-node-1",
            &[
                "systemctl",
                "kill",
                "--kill-whom=main",
                "-s",
                name,
                "containerd",
            ],
        );
    };
    signal("STOP");
    let files = dump(program, "hanging-runtime");
    signal("CONT");
    let failures = failures(&files);
    assert!(
        failures
            .iter()
            .all(|line| line.starts_with("kube-node-1/containerd/")),
        "{failures:?}"
    );
    assert!(
        failures
            .iter()
            .any(|line| line.ends_with("it did not end within 4 s")),
        "{failures:?}"
    );
    has_node(&files, "kube-node-1");
    has_node(&files, "kube-master");
    let stopped = files["kube-node-1/processes.txt"]
        .lines()
        .any(|line| line.contains("T(stopped)") && line.ends_with("containerd"));
    assert!(stopped, "{}", files["kube-node-1/processes.txt"]);
    has_talker(&files);
}

fn stopped_node(program: &Program) {
    program.ok(&["stop", "kube-node-1"]);
    let files = dump(program, "stopped-node");
    assert_eq!(
        failures(&files),
        ["kube-node-1: no command can run in it: it is stopped"]
    );
    has_node(&files, "kube-master");
    has(&files, "index.txt", "kube-node-1      stopped");
    has(&files, "kube-node-1/journal/all.log", "kubelet");
    has_talker(&files);
    has(
        &files,
        "kube-node-1/local-cluster/kubeadm.yaml",
        "kind: JoinConfiguration",
    );
    has(&files, "api/pods.txt", "talker");
    program.ok(&["start", "kube-node-1"]);
}

fn dead_api_server(program: &Program) {
    let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    program.exec("kube-master", &["mv", manifest, "/run/aside"]);
    program.until("the API server is gone", |program| {
        !program
            .run(&["kubectl", "get", "--raw", "/livez"])
            .status
            .success()
    });
    // Before kubelet throws away what the API server has said.
    let files = dump(program, "dead-api-server");
    let (_, told) = program.fails(&["up"]);
    // Its end may take longer than `up` waits.
    let why = "kube-master: kube-apiserver ";
    assert!(told.contains(why), "{told}");
    let failures = failures(&files);
    let expected = |line: &&str| {
        line.starts_with("api: the API server does not answer")
            || line.starts_with("kube-master/api-server/")
    };
    assert!(
        failures.iter().all(expected) && failures.len() <= 3,
        "{failures:?}"
    );
    assert!(
        failures
            .iter()
            .any(|line| line.starts_with("api: the API server does not answer")),
        "{failures:?}"
    );
    for node in ["kube-master", "kube-node-1"] {
        has_node(&files, node);
    }
    has_talker(&files);
    assert!(
        files
            .keys()
            .any(|path| path.starts_with("kube-master/pods/kube-system/kube-apiserver-")),
        "{:?}",
        files.keys()
    );
    program.exec("kube-master", &["mv", "/run/aside", manifest]);
    program.until("the cluster works again", |program| {
        program.run(&["up"]).status.success()
    });
}

fn all_stopped(program: &Program) {
    program.ok(&["stop"]);
    let files = dump(program, "all-stopped");
    assert_eq!(
        failures(&files),
        [
            "api: kube-master-cluster-215 does not run",
            "kube-master: no command can run in it: it is stopped",
            "kube-node-1: no command can run in it: it is stopped",
        ]
    );
    has(&files, "kube-master/journal/all.log", "kubelet");
    has(
        &files,
        "kube-master/etc/kubernetes/manifests/etcd.yaml",
        "etcd",
    );
}
