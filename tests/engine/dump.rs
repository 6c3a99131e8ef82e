//! `dump` on an engine that answers in part, or not at all.

use std::process::{Command, Stdio};

use local_cluster::dump::index;
use local_cluster::dump::split::split;
use serde_json::{Value, json};

use crate::commands::{engine, run, run_in};
use crate::fake::{Answer, Fake, done, frames, json};

fn container(name: &str, role: &str, state: &str) -> Value {
    json!({ "Names": [format!("/{name}")], "State": state, "Status": "Exited (0) a minute ago", "Image": "local-cluster/node",
        "Labels": { "local-cluster.cluster": "local-cluster", "local-cluster.role": role, "local-cluster.node": name } })
}

/// A master that has stopped, a worker that runs, and an engine that tells nothing more of them.
fn cluster() -> Fake {
    engine(
        &json!([]),
        &json!([
            container("kube-master", "master", "exited"),
            container("kube-node-1", "worker", "running")
        ]),
    )
}

fn index_of(dump: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("dump");
    let saved = split(dump.as_bytes(), &directory).unwrap().unwrap();
    assert_eq!(saved.lost, Vec::<String>::new());
    std::fs::read_to_string(directory.join(index::NAME)).unwrap()
}

#[test]
fn what_does_not_answer_ends_nothing() {
    let fake = cluster();
    let ended = run(&fake, &["dump"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .starts_with("dump of cluster `local-cluster`, 20"),
        "{}",
        ended.stdout
    );
    let index = index_of(&ended.stdout);
    for line in [
        "  kube-master      stopped\n",
        "  kube-node-1      running\n",
        "  api: kube-master does not run\n",
        "  kube-master: no command can run in it: it is stopped\n",
        "  kube-node-1/processes.txt: cannot run `timeout -k 1 ",
        "  kube-node-1/pods: cannot read /data/var/log/pods of container kube-node-1: ",
        "  engine/containers/kube-master.json: cannot inspect container kube-master: ",
        " settings.yaml\n",
    ] {
        assert!(index.contains(line), "{line} in {index}");
    }
    let told = ended.stderr;
    assert!(
        told.starts_with("note: ") && told.ends_with("index.txt tells\n"),
        "{told}"
    );
}

#[test]
fn what_hangs_is_cut_off_and_what_came_is_kept() {
    let fake = cluster();
    fake.add(
        "POST /containers/kube-node-1/exec",
        json(201, &json!({ "Id": "e" })),
    );
    fake.add("POST /exec/e/start", Answer::UpgradedSilent);
    fake.add(
        "GET /containers/kube-node-1/logs",
        Answer::Unfinished(frames(&[(1, "it has spoken\n")])),
    );
    let ended = run(&fake, &["dump", "--timeout", "1s"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("\nit has spoken\n"),
        "{}",
        ended.stdout
    );
    let index = index_of(&ended.stdout);
    for line in [
        "  kube-node-1/processes.txt: cut off after 1 s\n",
        "  engine/output/kube-node-1.log: cut off after 1 s\n",
    ] {
        assert!(index.contains(line), "{line} in {index}");
    }
}

#[test]
fn what_the_engine_tells_has_no_secrets_in_it() {
    let fake = cluster();
    let environment = [
        "HTTP_PROXY=http://user:hunter2@proxy:3128",
        "API_TOKEN=hunter2",
    ];
    let inspected = json!({ "Name": "/kube-master", "Config": { "Env": environment } });
    fake.add("GET /containers/kube-master/json", json(200, &inspected));
    let ended = run(&fake, &["dump"]);
    assert!(
        ended
            .stdout
            .contains("HTTP_PROXY=http://[redacted]@proxy:3128"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("API_TOKEN=[redacted]"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("hunter2"));
}

#[test]
fn settings_of_today_need_not_be_right() {
    let fake = cluster();
    let ended = run_in(&fake, &["dump"], &[("K8S_DIND_NUM_NODES", "lots")]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the settings cannot be used"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stdout.contains("# environment K8S_DIND_NUM_NODES: "),
        "{}",
        ended.stdout
    );
    // Which cluster is meant must be known.
    let ended = run_in(&fake, &["dump"], &[("K8S_DIND_CLUSTER_ID", "many")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
}

#[test]
fn where_there_is_nothing_there_is_nothing_to_dump() {
    let fake = engine(&json!([]), &json!([]));
    let ended = run(&fake, &["dump64"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(
        ended
            .stderr
            .starts_with("error: there is no cluster `local-cluster`"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_place_that_cannot_take_it_is_told_before_anything_is_asked() {
    let fake = cluster();
    let ended = run(&fake, &["dump", "--to", env!("CARGO_MANIFEST_DIR")]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("is not empty"), "{}", ended.stderr);
    let there = tempfile::Builder::new().suffix(".tar").tempfile().unwrap();
    let ended = run(&fake, &["dump", "--tar", there.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("is there already"),
        "{}",
        ended.stderr
    );
    let ended = run(&fake, &["dump", "--tar", "dump.zip"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("end it in `.tar` or `.tar.xz`"),
        "{}",
        ended.stderr
    );
    assert_eq!(fake.log(), Vec::<String>::new());
    let place = tempfile::tempdir().unwrap();
    let absent = place.path().join("absent/dump.tar");
    let ended = run(&fake, &["dump", "--tar", absent.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("cannot write the dump into `"),
        "{}",
        ended.stderr
    );
}

/// Standard output that takes no more, and a reader that has gone: nobody has the dump, and that is said.
#[test]
fn a_dump_that_cannot_be_printed_has_failed() {
    let fake = cluster();
    let home = tempfile::tempdir().unwrap();
    let command = |shell: &str| {
        let output = Command::new("bash")
            .args([
                "-c",
                shell,
                assert_cmd::cargo::cargo_bin("local-cluster")
                    .to_str()
                    .unwrap(),
            ])
            .env("HOME", home.path())
            .env("DOCKER_HOST", fake.address())
            .env_remove("KUBECONFIG")
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for (shell, why) in [
        ("\"$0\" dump >/dev/full", "No space left on device"),
        ("\"$0\" dump64 >/dev/full", "No space left on device"),
        ("\"$0\" dump | true; exit ${PIPESTATUS[0]}", "Broken pipe"),
    ] {
        let (code, told) = command(shell);
        assert_eq!(code, Some(1), "{shell}: {told}");
        let wanted = format!("error: cannot write the dump to standard output\n  caused by: {why}");
        assert!(told.starts_with(&wanted), "{shell}: {told}");
    }
}

/// In a restore two containers are the same node: each has its directory, and the API server is not asked of one that is
/// not part of the cluster yet.
#[test]
fn what_stands_aside_in_a_restore_is_apart() {
    let named = |name: &str, node: &str, role: &str, state: &str| {
        let mut container = container(node, role, state);
        container["Names"] = json!([format!("/{name}")]);
        container
    };
    let fake = engine(
        &json!([]),
        &json!([
            named("kube-master.coming", "kube-master", "master", "running"),
            named("kube-master", "kube-master", "master", "exited"),
            named("kube-node-1.before", "kube-node-1", "worker", "exited"),
            named("kube-node-1", "kube-node-1", "worker", "running"),
        ]),
    );
    let ended = run(&fake, &["dump"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let index = index_of(&ended.stdout);
    for line in [
        "  kube-master.coming running\n",
        "  kube-master      stopped\n",
        "  api: kube-master does not run\n",
        "  kube-master.coming/processes.txt: cannot run ",
        "  kube-node-1.before/journal/all.log: its container has no volume\n",
        "  kube-node-1/processes.txt: cannot run ",
    ] {
        assert!(index.contains(line), "{line} in {index}");
    }
}

/// The job that reads a journal is gone when the program is, also when it was told to stop.
#[tokio::test]
async fn an_interrupted_dump_leaves_nothing() {
    let mut node = container("kube-node-1", "worker", "exited");
    node["Mounts"] =
        json!([{ "Type": "volume", "Name": "kube-node-1-data", "Destination": "/data" }]);
    let fake = engine(&json!([]), &json!([node]));
    fake.add("DELETE /containers/kube-node-1.dump", done());
    fake.add(
        "POST /containers/create",
        json(201, &json!({ "Id": "j", "Warnings": [] })),
    );
    fake.add("POST /containers/kube-node-1.dump/start", done());
    fake.add(
        "GET /containers/kube-node-1.dump/logs",
        Answer::Unfinished(frames(&[(1, "it reads\n")])),
    );
    let home = tempfile::tempdir().unwrap();
    let child = Command::new(assert_cmd::cargo::cargo_bin("local-cluster"))
        .args(["dump", "--timeout", "10m"])
        .env("HOME", home.path())
        .env("DOCKER_HOST", fake.address())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fake.until_asked("GET /containers/kube-node-1.dump/logs")
        .await;
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty());
    let log = fake.log();
    let mut job = log.iter().filter(|what| what.contains(".dump"));
    assert_eq!(
        job.next_back().unwrap(),
        "DELETE /containers/kube-node-1.dump",
        "{log:?}"
    );
    assert!(fake.all("DELETE /containers/kube-node-1.dump").len() >= 2);
}
