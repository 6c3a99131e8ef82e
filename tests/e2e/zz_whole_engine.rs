//! What concerns the engine as a whole: it is restarted, and all that the program ever made on it is taken away. So these
//! tests come last, by their names, and only where everything is asked for.

use crate::program::{Program, crash_engine, engine, engine_with, restart_engine};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn a_cluster_comes_back_with_its_engine() {
    let program = Program::new(233);
    program.ok(&["up", "--num-nodes", "1"]);
    program.kubectl(&["create", "configmap", "kept"]);
    restart_engine();
    program.until("all nodes are Ready", |program| {
        let waited = program.run(&[
            "kubectl",
            "wait",
            "nodes",
            "--all",
            "--for=condition=Ready",
            "--timeout=10s",
        ]);
        waited.status.success()
    });
    let nothing = program.ok(&["up", "--num-nodes", "1", "--dry-run"]);
    assert_eq!(nothing, "nothing to do\n");
    program.until("the cluster says so itself", |program| {
        program.run(&["up", "--num-nodes", "1"]).status.success()
    });
    program.kubectl(&["get", "configmap", "kept"]);
}

/// Not asked to end, but killed, in the midst of what the program does with the nodes.
#[test]
fn an_engine_that_is_killed_takes_nothing_along() {
    let program = Program::new(233);
    program.ok(&["up", "--num-nodes", "1", "--skip-snapshot"]);
    program.kubectl(&["create", "configmap", "kept"]);
    program.ok(&["snapshot", "save", "whole"]);
    for (command, midst) in [
        (["snapshot", "save", "two"], "(Paused)"),
        (["snapshot", "restore", "whole"], ".before"),
    ] {
        let is_there = |_: &Program| engine("GET", "/containers/json?all=1").contains(midst);
        // What is looked for is there for a moment, which may be missed.
        let broken_off = (0..10).any(|_| {
            let mut running = program.spawn(&command);
            program.until("it is in the midst", |program| {
                is_there(program) || running.try_wait().unwrap().is_some()
            });
            let came = is_there(&program);
            if came {
                crash_engine();
            }
            running.wait().unwrap();
            program.run(&["snapshot", "rm", "two"]);
            came
        });
        assert!(broken_off, "{midst} was never there");
        program.until("the cluster is back", |program| {
            program.run(&["up"]).status.success()
        });
        program.assert_whole();
        program.kubectl(&["get", "configmap", "kept"]);
        program.ok(&["snapshot", "save", "two"]);
        program.ok(&["snapshot", "rm", "two"]);
    }
    program.ok(&["snapshot", "restore", "whole"]);
    program.kubectl(&["get", "configmap", "kept"]);
}

/// A file of a snapshot has all that is needed: images and preload volume too, as on another machine.
fn a_file_is_enough(program: &Program) {
    program.kubectl(&["create", "configmap", "kept"]);
    program.ok(&["snapshot", "save", "one"]);
    let file = program.home().join("one");
    let path = file.to_str().unwrap();
    program.ok(&["snapshot", "export", "one", path]);
    program.ok(&["clean", "--images", "--cache"]);
    let nothing = Engine::look();
    let ours = |name: &String| name.starts_with("local-cluster");
    for names in nothing.kinds() {
        assert!(!names.iter().any(ours), "{names:?}");
    }
    program.ok(&["snapshot", "import", path]);
    program.ok(&["snapshot", "restore", "one"]);
    program.kubectl(&["get", "configmap", "kept"]);
    program.assert_whole();
}

/// The names of all that an engine has of a kind.
type Names = BTreeSet<String>;

struct Engine {
    containers: Names,
    volumes: Names,
    networks: Names,
    images: Names,
}

impl Engine {
    fn look() -> Self {
        let ask = |path| -> Value { serde_json::from_str(&engine("GET", path)).unwrap() };
        let names = |objects: &Value, key: &str| -> Names {
            let objects = objects.as_array().into_iter().flatten();
            objects
                .flat_map(|object| match &object[key] {
                    Value::Array(several) => several.clone(),
                    one => vec![one.clone()],
                })
                .filter_map(|name| Some(name.as_str()?.trim_start_matches('/').to_owned()))
                .collect()
        };
        Self {
            containers: names(&ask("/containers/json?all=1"), "Names"),
            volumes: names(&ask("/volumes")["Volumes"], "Name"),
            networks: names(&ask("/networks"), "Name"),
            images: names(&ask("/images/json"), "RepoTags"),
        }
    }

    fn kinds(&self) -> [&Names; 4] {
        [
            &self.containers,
            &self.volumes,
            &self.networks,
            &self.images,
        ]
    }
}

/// One object of each kind that is not ours, on an image of ours under another name.
fn make_others(base: &str) {
    engine("POST", &format!("/images/{base}/tag?repo=others&tag=kept"));
    let container =
        json!({ "Image": "others:kept", "Cmd": ["true"], "Labels": { "others": "kept" } });
    engine_with("POST", "/containers/create?name=others-kept", &container);
    engine_with("POST", "/volumes/create", &json!({ "Name": "others-kept" }));
    engine_with(
        "POST",
        "/networks/create",
        &json!({ "Name": "others-kept" }),
    );
}

fn remove_others() {
    engine("DELETE", "/containers/others-kept");
    engine("DELETE", "/volumes/others-kept");
    engine("DELETE", "/networks/others-kept");
    engine("DELETE", "/images/others:kept");
}

/// The last of all: after it there are no images any more, and the next `up` builds them.
#[test]
fn what_is_cleaned_is_ours_and_unused() {
    let (used, cleaned) = (Program::new(233), Program::new(234));
    remove_others();
    used.ok(&["up", "--num-nodes", "0"]);
    cleaned.ok(&["up", "--num-nodes", "0"]);
    let built = Engine::look();
    let base = built
        .images
        .iter()
        .find(|name| name.starts_with("local-cluster/base:"));
    make_others(base.unwrap());
    let before = Engine::look();
    let theirs = |names: &Names| -> Names {
        let ours = |name: &&String| name.contains("local-cluster") || name.contains("cluster-234");
        names.iter().filter(|name| !ours(name)).cloned().collect()
    };
    assert!(
        before
            .kinds()
            .iter()
            .all(|names| names.iter().any(|name| name.starts_with("others")))
    );

    // A cluster that is used keeps what it is made of.
    cleaned.ok(&["clean", "--images", "--cache"]);
    let after = Engine::look();
    for (before, after) in before.kinds().into_iter().zip(after.kinds()) {
        assert_eq!(theirs(after), theirs(before));
        assert!(
            !after.iter().any(|name| name.contains("cluster-234")),
            "{after:?}"
        );
    }
    assert!(!after.volumes.contains("local-cluster-cache"));
    let nothing = used.ok(&["up", "--num-nodes", "0", "--dry-run"]);
    assert_eq!(nothing, "nothing to do\n");
    used.ok(&["up", "--num-nodes", "0"]);
    let node = used.container("kube-master");
    let inspected: Value =
        serde_json::from_str(&engine("GET", &format!("/containers/{node}/json"))).unwrap();
    let kept = |name: &str| inspected["Config"]["Image"] == name;
    let preload = inspected["Config"]["Labels"]["local-cluster.preload-used"]
        .as_str()
        .unwrap();
    assert!(after.volumes.contains(preload));
    assert!(after.images.iter().any(|name| kept(name)));

    a_file_is_enough(&used);

    // And when nobody uses anything, nothing of ours stays.
    used.ok(&["clean", "--images", "--cache"]);
    let last = Engine::look();
    for (before, last) in before.kinds().into_iter().zip(last.kinds()) {
        let others: Names = theirs(before)
            .into_iter()
            .filter(|name| !name.contains("cluster-233"))
            .collect();
        assert_eq!(theirs(last), others);
    }
    assert!(
        last.images
            .iter()
            .all(|name| !name.starts_with("local-cluster/")),
        "{:?}",
        last.images
    );
    assert!(
        last.volumes
            .iter()
            .all(|name| !name.starts_with("local-cluster")),
        "{:?}",
        last.volumes
    );
    remove_others();
}
