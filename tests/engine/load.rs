//! `load` and `image list` of the real binary on a fake engine.

use serde_json::json;

use crate::commands::run;
use crate::fake::{Answer, Fake, frames, json, refusal};
use crate::lifecycle::with;

/// Has all commands in all containers print this and end well.
fn printing(fake: &Fake, text: &str) {
    for node in ["kube-master", "kube-node-1", "kube-node-2"] {
        let what = Box::leak(format!("POST /containers/{node}/exec").into_boxed_str());
        fake.add(what, json(201, &json!({ "Id": "e" })));
    }
    fake.add("POST /exec/e/start", Answer::Upgraded(frames(&[(1, text)])));
    fake.add("GET /exec/e/json", json(200, &json!({ "ExitCode": 0 })));
}

#[test]
fn an_image_that_the_engine_lacks_is_told_before_anything_is_asked() {
    let fake = with(["running"; 3], &[]);
    fake.add(
        "GET /images/me/app:1/json",
        refusal(404, "No such image: me/app:1"),
    );
    let ended = run(&fake, &["load", "me/app:1"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("the engine has no image `me/app:1`"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("hint: `docker pull me/app:1`"),
        "{}",
        ended.stderr
    );
    assert!(
        !fake
            .log()
            .iter()
            .any(|what| what.contains("/exec") || what.contains("/images/get"))
    );
}

#[test]
fn what_is_no_name_never_reaches_the_engine() {
    let fake = with(["running"; 3], &[]);
    for name in ["../containers/json", "a b", "a?b"] {
        let ended = run(&fake, &["load", name]);
        assert!(
            ended.stderr.contains("is no name of an image"),
            "{}",
            ended.stderr
        );
    }
    assert!(
        !fake.log().iter().any(|what| what.contains("/images/")),
        "{:?}",
        fake.log()
    );
}

#[test]
fn a_node_that_is_named_must_run() {
    let fake = with(["running", "exited", "running"], &[]);
    let ended = run(&fake, &["load", "me/app:1", "--node", "kube-node-1"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("kube-node-1 does not run: it is stopped"),
        "{}",
        ended.stderr
    );
    let ended = run(&fake, &["load", "me/app:1", "--node", "kube-node-9"]);
    assert!(
        ended.stderr.contains("there is no node `kube-node-9`"),
        "{}",
        ended.stderr
    );
    let none = with(["exited"; 3], &[]);
    let ended = run(&none, &["load", "me/app:1"]);
    assert!(ended.stderr.contains("does not run"), "{}", ended.stderr);
}

#[test]
fn a_file_that_is_no_archive_of_images_is_refused() {
    let fake = with(["running", "exited", "running"], &[]);
    printing(&fake, "\n--\n\n--\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let name = path.to_str().unwrap();
    for (content, expected) in [
        (
            &b"\x1f\x8b\x08\x00"[..],
            "give it without compression: `zcat",
        ),
        (&[0; 1024], "it is none of images"),
        (b"what is this?", "the archive cannot be read"),
    ] {
        std::fs::write(&path, content).unwrap();
        let ended = run(&fake, &["load", "--archive", name]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        // Those that do not get it are told.
        assert!(
            ended
                .stderr
                .contains("left out, as they do not run: kube-node-1"),
            "{}",
            ended.stderr
        );
    }
    let ended = run(&fake, &["load", "--archive", "/nonexistent"]);
    assert!(
        ended.stderr.contains("cannot read /nonexistent"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_nodes_images_are_listed() {
    let fake = with(["running"; 3], &[]);
    let digest = format!("sha256:{}", "a".repeat(64));
    printing(
        &fake,
        &format!(
            "REF TYPE\ndocker.io/me/app:1 type {digest} 77.1 MiB linux/amd64 -\n{digest} type {digest} 1.0 B - -\n--\n\n--\n"
        ),
    );
    let ended = run(&fake, &["image", "list"]);
    insta::assert_snapshot!(ended.stdout, @r"
    IMAGE               SIZE      NODES
    docker.io/me/app:1  77.1 MiB  all nodes
    ");
    let ended = run(
        &fake,
        &["image", "list", "--node", "kube-master", "--output", "json"],
    );
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(list["images"][0]["nodes"], json!(["kube-master"]));
}

#[tokio::test]
async fn a_runtime_that_hangs_keeps_nobody() {
    let fake = with(["running"; 3], &[]);
    for node in ["kube-master", "kube-node-1", "kube-node-2"] {
        let what = format!("POST /containers/{node}/exec");
        fake.add(&what, json(201, &json!({ "Id": "e" })));
    }
    fake.add("POST /exec/e/start", Answer::UpgradedSilent);
    let image = json!({ "Id": "sha256:1", "Size": 1000 });
    fake.add("GET /images/me/app:1/json", json(200, &image));
    let home = tempfile::tempdir().unwrap();
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin("local-cluster"))
        .env_clear()
        .env("HOME", home.path())
        .env("DOCKER_HOST", fake.address())
        .args(["load", "me/app:1"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    fake.until_asked("POST /exec/e/start").await;
    let sent = std::process::Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    // What was asked ends in the node, too.
    let asked = fake.only("POST /containers/kube-master/exec").json();
    assert_eq!(asked["Cmd"][0], json!("timeout"));
}

#[test]
fn a_runtime_that_is_too_late_is_told() {
    let fake = with(["running", "exited", "exited"], &[]);
    printing(&fake, "");
    let fake = fake.instead("GET /exec/e/json", json(200, &json!({ "ExitCode": 124 })));
    let ended = run(&fake, &["image", "list"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("containerd has not answered within 20 s"),
        "{}",
        ended.stderr
    );
}
