//! Plans carried out: which effects a step has, what a failure or a wish to stop leaves.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use local_cluster::cluster::{
    ClusterSpec, CniPlugin, DEFAULT_VERSION, Members, NodeSpec, SpecInput,
};
use local_cluster::drain::Drain;
use local_cluster::engine::{Engine, Facts, Rights};
use local_cluster::error::{Error, in_one_line};
use local_cluster::execute::{self, Making, Times, Work};
use local_cluster::image::base::BaseChoice;
use local_cluster::image::{ImageInputs, ImagePlan, Origin};
use local_cluster::node::access::Way;
use local_cluster::pki::PkiFile;
use local_cluster::plan::{Stage, Step};
use local_cluster::report::{Event, Reporter};
use local_cluster::settings::BaseKind;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fake::{Answer, Fake, done, frames, json, refusal, stream};

pub(crate) fn spec(port: Option<u16>) -> ClusterSpec {
    ClusterSpec::new(&SpecInput {
        id: 0,
        label: None,
        members: Members {
            masters: [1].into(),
            workers: [1, 2].into(),
        },
        balanced: false,
        no_dedicated: false,
        unsafe_fast: false,
        version: DEFAULT_VERSION,
        cni: CniPlugin::Bridge,
        pool: "10.192.0.0/16".parse().unwrap(),
        node_subnet: None,
        pod_subnet: "10.244.0.0/16".parse().unwrap(),
        service_subnet: "10.96.0.0/16".parse().unwrap(),
        api_server_port: port,
        api_server_address: Ipv4Addr::LOCALHOST,
    })
    .unwrap()
}

/// A proxy that must stand nowhere but in files.
const SECRET: &str = "http://me:secret@proxy:3128";

/// The proxy has reached the job's container, and is not among what Docker tells of it.
fn assert_hidden(fake: &Fake, job: &str) {
    let made = fake.only("POST /containers/create");
    assert!(!String::from_utf8_lossy(&made.body).contains("secret"));
    let files = fake.only(&format!("PUT /containers/{job}/archive")).body;
    let mut files = tar::Archive::new(files.as_slice());
    let mut found = None;
    for entry in files.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap() == std::path::Path::new("run/local-cluster-environment") {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            found = Some((entry.header().mode().unwrap(), text));
        }
    }
    assert_eq!(found, Some((0o600, format!("HTTPS_PROXY={SECRET}\n"))));
}

/// All that a run needs but the plan.
pub(crate) struct Run {
    engine: Engine,
    facts: Facts,
    inputs: ImageInputs,
    images: ImagePlan,
    proxies: Vec<(String, String)>,
    cancel: CancellationToken,
    reporter: Reporter,
    events: Arc<Mutex<Vec<Event>>>,
    times: Times,
}

impl Run {
    pub(crate) fn new(fake: &Fake) -> Self {
        let facts = Facts {
            id: "ENGINE".to_owned(),
            version: "20.10.24".to_owned(),
            storage_driver: "overlay2".to_owned(),
            cgroup_v1: true,
            architecture: "x86_64".to_owned(),
            memory: 8 << 30,
            data_root: "/var/lib/docker".to_owned(),
            security_options: Vec::new(),
            backing_filesystem: None,
        };
        let base = BaseChoice {
            kind: BaseKind::Auto,
            name: "auto".to_owned(),
            sha256: None,
            debian_mirror: None,
        };
        let inputs = ImageInputs {
            version: DEFAULT_VERSION,
            origin: Origin::Modules,
            base,
            preload: Vec::new(),
            ca_bundle: None,
        };
        let (reporter, events) = Reporter::memory();
        Self {
            engine: fake.engine(),
            facts,
            images: ImagePlan::new(&inputs),
            inputs,
            proxies: vec![("HTTPS_PROXY".to_owned(), SECRET.to_owned())],
            cancel: CancellationToken::new(),
            reporter,
            events,
            times: vec![],
        }
    }

    pub(crate) fn work(&self) -> Work<'_> {
        Work {
            engine: &self.engine,
            facts: &self.facts,
            inputs: &self.inputs,
            images: &self.images,
            proxies: &self.proxies,
            go_environment: &[],
            downloads: std::path::PathBuf::new(),
            cancel: &self.cancel,
            reporter: &self.reporter,
            show_output: false,
        }
    }

    async fn stages(&mut self, stages: &[Stage], spec: &ClusterSpec) -> Result<(), Error> {
        let mut times = std::mem::take(&mut self.times);
        let work = self.work();
        let file = PkiFile {
            path: "/etc/kubernetes/pki/ca.key".to_owned(),
            mode: 0o600,
            text: "secret".to_owned(),
        };
        let making = Making {
            port: None,
            spec,
            masters: [(spec.master().name.clone(), vec![file])].into(),
            way: Way::of(spec),
            authority: None,
            rights: Rights::Privileged,
            drain: Drain::default(),
        };
        let done = execute::run(stages, &work, Some(&making), &mut times).await;
        self.times = times;
        done
    }

    async fn steps(&mut self, steps: Vec<Step>) -> Result<(), Error> {
        self.stages(&[stage("stage", steps)], &spec(None)).await
    }

    /// What was told of stages and steps, without times.
    fn told(&self) -> String {
        let line = |event: &Event| match event {
            Event::StageStarted { stage } => Some(format!("[{stage}]\n")),
            Event::StageFinished { stage, ok, .. } => Some(format!("[/{stage}] {ok}\n")),
            Event::StepFinished { step, ok, .. } => Some(format!("  {step}: {ok}\n")),
            _ => None,
        };
        self.events
            .lock()
            .unwrap()
            .iter()
            .filter_map(line)
            .collect()
    }
}

fn stage(title: &'static str, steps: Vec<Step>) -> Stage {
    Stage { title, steps }
}

fn master() -> NodeSpec {
    spec(None).nodes[0].clone()
}

fn workers() -> [NodeSpec; 2] {
    let spec = spec(None);
    [spec.nodes[1].clone(), spec.nodes[2].clone()]
}

#[tokio::test]
async fn a_wish_to_stop_before_a_stage_says_after_which() {
    let fake = Fake::new([]);
    for (times, wanted) in [
        (vec![], ""),
        (
            vec![("check".to_owned(), std::time::Duration::ZERO)],
            "check",
        ),
    ] {
        let mut run = Run::new(&fake);
        run.cancel.cancel();
        run.times = times;
        let error = run.steps(vec![Step::CreateNetwork]).await.unwrap_err();
        assert!(
            matches!(&error, Error::Interrupted { after } if after == wanted),
            "{error:?}"
        );
        assert_eq!(error.exit_code(), 130);
    }
    assert_eq!(fake.log(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wish_to_stop_within_a_stage_says_after_which() {
    let fake = Fake::new([
        ("POST /containers/kube-master/start", done()),
        (
            "POST /containers/kube-master/exec",
            json(201, &json!({ "Id": "e" })),
        ),
        ("POST /exec/e/start", Answer::UpgradedSilent),
    ]);
    let mut run = Run::new(&fake);
    let cancel = run.cancel.clone();
    let stages = [
        stage("master", vec![Step::StartNode(master().container)]),
        stage("control plane", vec![Step::AwaitPhases(master())]),
        stage("join", vec![Step::StartNode(master().container)]),
    ];
    let spec = spec(None);
    let stopping = async {
        fake.until_asked("POST /exec/e/start").await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(run.stages(&stages, &spec), stopping);
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Interrupted { after } if after == "master"),
        "{error:?}"
    );
    insta::assert_snapshot!(run.told(), @r"
    [master]
      start kube-master: true
    [/master] true
    [control plane]
      wait for kubeadm init on kube-master: false
    [/control plane] false
    ");
}

#[tokio::test]
async fn a_step_that_fails_lets_the_others_settle() {
    let fake = Fake::new([
        (
            "POST /containers/kube-master/start",
            refusal(500, "no master"),
        ),
        ("POST /containers/kube-node-1/start", done()),
        (
            "POST /containers/kube-node-2/start",
            refusal(500, "no worker"),
        ),
    ]);
    let mut run = Run::new(&fake);
    let [first, second] = workers();
    let stages = [
        stage(
            "nodes",
            [master(), first, second]
                .into_iter()
                .map(|node| Step::StartNode(node.container))
                .collect(),
        ),
        stage("never", vec![Step::CreateNetwork]),
    ];
    let error = run.stages(&stages, &spec(None)).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let Error::Stage {
        stage,
        source,
        others,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((stage.as_str(), others.len()), ("nodes", 1));
    let mut all = [in_one_line(&source), in_one_line(&others[0])];
    all.sort();
    insta::assert_snapshot!(all.join("\n"), @r"
    cannot start kube-master: cannot start container kube-master: Docker responded with status code 500: no master
    cannot start kube-node-2: cannot start container kube-node-2: Docker responded with status code 500: no worker
    ");
    let mut asked = fake.log();
    asked.sort();
    assert_eq!(asked.len(), 3, "{asked:?}");
    let told = run.told();
    assert!(told.ends_with("[/nodes] false\n"), "{told}");
    assert!(
        told.contains("  start kube-node-1: true\n")
            && told.contains("  start kube-node-2: false\n"),
        "{told}"
    );
}

#[tokio::test]
async fn a_network_carries_the_clusters_name_and_number() {
    let fake = Fake::new([(
        "POST /networks/create",
        json(201, &json!({ "Id": "0", "Warning": "" })),
    )]);
    Run::new(&fake)
        .steps(vec![Step::CreateNetwork])
        .await
        .unwrap();
    let labels = fake.only("POST /networks/create").json()["Labels"].clone();
    assert_eq!(
        (
            &labels["local-cluster.cluster"],
            &labels["local-cluster.id"]
        ),
        (&json!("local-cluster"), &json!("0"))
    );
}

/// An engine on which nodes can be made; the master starts like this, one answer a try.
fn engine_with_starts(starts: Vec<Answer>) -> Fake {
    let mut answers = vec![
        (
            "POST /volumes/create",
            json(
                201,
                &json!({ "Name": "", "Driver": "", "Mountpoint": "", "Labels": { "local-cluster.cluster": "local-cluster" }, "Scope": "local", "Options": {} }),
            ),
        ),
        (
            "POST /containers/create",
            json(201, &json!({ "Id": "0", "Warnings": [] })),
        ),
        (
            "PUT /containers/kube-master/archive",
            Answer::Whole(200, Vec::new()),
        ),
        ("DELETE /containers/kube-master", done()),
    ];
    answers.extend(
        starts
            .into_iter()
            .map(|start| ("POST /containers/kube-master/start", start)),
    );
    Fake::new(answers)
}

/// The ports of the engine's host with which containers were made.
fn ports(fake: &Fake) -> Vec<String> {
    let made = fake
        .asked()
        .into_iter()
        .filter(|asked| asked.what == "POST /containers/create");
    made.map(|asked| {
        asked.json()["HostConfig"]["PortBindings"]["6443/tcp"][0]["HostPort"]
            .as_str()
            .unwrap()
            .to_owned()
    })
    .collect()
}

const TAKEN: &str = "driver failed programming external connectivity: Bind for 127.0.0.1:6443 failed: port is already allocated";

/// The engine answers with a volume that is there as if it had made it: somebody else's data would be a node's.
#[tokio::test]
async fn a_volume_that_is_not_ours_is_left_alone() {
    let foreign = json!({ "Name": "kube-master-data", "Driver": "", "Mountpoint": "", "Labels": { "a": "b" }, "Scope": "local",
                          "Options": {} });
    let fake = Fake::new([("POST /volumes/create", json(201, &foreign))]);
    let mut run = Run::new(&fake);
    let error = run.steps(vec![Step::CreateNode(master())]).await;
    let error = error.unwrap_err();
    let told = local_cluster::error::render(&error, &error.hints());
    assert!(
        told.contains("volume kube-master-data that this program has not made")
            && told.contains("docker volume rm kube-master-data"),
        "{told}"
    );
    assert_eq!(fake.log(), ["POST /volumes/create"]);
}

#[tokio::test]
async fn a_node_has_its_files_before_it_starts() {
    let fake = engine_with_starts(vec![done()]);
    let mut run = Run::new(&fake);
    run.steps(vec![Step::CreateNode(master())]).await.unwrap();
    assert_eq!(
        fake.log(),
        [
            "POST /volumes/create",
            "POST /containers/create",
            "PUT /containers/kube-master/archive",
            "POST /containers/kube-master/start",
        ]
    );
    let volume = fake.only("POST /volumes/create").json();
    assert_eq!(volume["Name"], "kube-master-data");
    assert_eq!(volume["Labels"]["local-cluster.cluster"], "local-cluster");
    let made = fake.only("POST /containers/create");
    assert!(
        made.query.starts_with("name=kube-master&"),
        "{}",
        made.query
    );
    let labels = &made.json()["Labels"];
    assert_eq!(
        (&labels["local-cluster.role"], &labels["local-cluster.node"]),
        (&json!("master"), &json!("kube-master"))
    );
    assert_eq!(
        labels["local-cluster.preload-used"],
        json!(run.images.preload)
    );
    // Secrets are in the files, and nowhere else.
    assert!(!String::from_utf8_lossy(&made.body).contains("secret"));
    let files = fake.only("PUT /containers/kube-master/archive").body;
    let mut files = tar::Archive::new(files.as_slice());
    let modes: BTreeMap<String, u32> = files
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.path().unwrap().display().to_string(),
                entry.header().mode().unwrap(),
            )
        })
        .collect();
    assert_eq!(modes["data/etc/kubernetes/pki/ca.key"], 0o600);
    assert_eq!(modes["data/local-cluster/kubeadm.yaml"], 0o600);
}

#[tokio::test]
async fn a_taken_port_gives_another() {
    let fake = engine_with_starts(vec![refusal(500, TAKEN), refusal(500, TAKEN), done()]);
    Run::new(&fake)
        .steps(vec![Step::CreateNode(master())])
        .await
        .unwrap();
    assert_eq!(ports(&fake), ["6443", "16443", "26443"]);
    // The container that could not start is gone before the next is made.
    let log = fake.log();
    let removed = log
        .iter()
        .filter(|what| *what == "DELETE /containers/kube-master")
        .count();
    assert_eq!(removed, 2);
}

#[tokio::test]
async fn ports_are_not_tried_for_ever() {
    let fake = engine_with_starts(vec![refusal(500, TAKEN)]);
    let error = Run::new(&fake)
        .steps(vec![Step::CreateNode(master())])
        .await
        .unwrap_err();
    insta::assert_snapshot!(in_one_line(&error), @"stage `stage` failed: cannot create node kube-master: no port is free for the API server on 127.0.0.1");
    assert_eq!(error.hints(), ["name a free one with `--apiserver-port`"]);
    assert_eq!(ports(&fake).len(), 5);
}

#[tokio::test]
async fn a_port_that_was_asked_for_is_the_only_one() {
    let fake = engine_with_starts(vec![refusal(500, TAKEN)]);
    let spec = spec(Some(7443));
    let stages = [stage("master", vec![Step::CreateNode(master())])];
    let error = Run::new(&fake).stages(&stages, &spec).await.unwrap_err();
    assert!(
        in_one_line(&error).contains("port is already allocated"),
        "{error:?}"
    );
    assert_eq!(ports(&fake), ["7443"]);
}

#[tokio::test]
async fn a_start_that_fails_for_another_reason_is_not_tried_again() {
    let fake = engine_with_starts(vec![refusal(500, "no space left on device")]);
    let error = Run::new(&fake)
        .steps(vec![Step::CreateNode(master())])
        .await
        .unwrap_err();
    assert!(
        in_one_line(&error).ends_with("no space left on device"),
        "{error:?}"
    );
    assert_eq!(ports(&fake).len(), 1);
}

#[tokio::test]
async fn a_worker_is_not_made_without_an_authority() {
    let fake = Fake::new([]);
    let [worker, _] = workers();
    let error = Run::new(&fake)
        .steps(vec![Step::CreateNode(worker)])
        .await
        .unwrap_err();
    assert!(
        in_one_line(&error).contains("there is no authority"),
        "{error:?}"
    );
    assert_eq!(fake.log(), Vec::<String>::new());
}

#[tokio::test]
async fn a_node_is_removed_with_its_volume() {
    let fake = Fake::new([
        (
            "DELETE /containers/kube-master",
            refusal(404, "No such container"),
        ),
        ("DELETE /volumes/kube-master-data", done()),
    ]);
    Run::new(&fake)
        .steps(vec![Step::RemoveNode(master())])
        .await
        .unwrap();
    assert_eq!(
        fake.log(),
        [
            "DELETE /containers/kube-master",
            "DELETE /volumes/kube-master-data"
        ]
    );
}

#[tokio::test]
async fn programs_are_built_in_a_job_that_goes() {
    let output = frames(&[
        (2, "go: downloading a v1.0.0\ntotal 2\nfmt\n"),
        (2, "go: downloading b v1.0.0\nmain\n"),
    ]);
    let answers = |status: i64| {
        [
            (
                "POST /volumes/create",
                json(
                    201,
                    &json!({ "Name": "", "Driver": "", "Mountpoint": "", "Labels": {}, "Scope": "local", "Options": {} }),
                ),
            ),
            ("DELETE /containers/local-cluster-build-etcd", done()),
            (
                "POST /containers/create",
                json(201, &json!({ "Id": "0", "Warnings": [] })),
            ),
            (
                "PUT /containers/local-cluster-build-etcd/archive",
                Answer::Whole(200, Vec::new()),
            ),
            ("POST /containers/local-cluster-build-etcd/start", done()),
            (
                "GET /containers/local-cluster-build-etcd/logs",
                Answer::Whole(200, output.clone()),
            ),
            (
                "POST /containers/local-cluster-build-etcd/wait",
                json(200, &json!({ "StatusCode": status })),
            ),
        ]
    };
    for status in [0, 1] {
        let fake = Fake::new(answers(status));
        let mut run = Run::new(&fake);
        let etcd = run
            .images
            .image_programs
            .iter()
            .find(|programs| programs.component.name == "etcd")
            .cloned();
        let result = run.steps(vec![Step::BuildPrograms(etcd.unwrap())]).await;
        assert_eq!(result.is_ok(), status == 0, "{result:?}");
        assert_hidden(&fake, "local-cluster-build-etcd");
        assert_eq!(
            fake.log().last().map(String::as_str),
            Some("DELETE /containers/local-cluster-build-etcd")
        );
        // A stage of one build is named after it.
        assert!(run.told().starts_with("[etcd]\n"), "{}", run.told());
        let events = run.events.lock().unwrap();
        let progress: Vec<(u64, Option<u64>)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Progress { done, total, .. } => Some((*done, *total)),
                _ => None,
            })
            .collect();
        assert_eq!(progress, [(0, Some(2)), (1, Some(2)), (2, Some(2))]);
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Event::ProgressFinished { item } if item == "etcd"))
        );
    }
}

#[tokio::test]
async fn a_preload_volume_that_cannot_be_filled_goes() {
    let fake = Fake::new([]);
    let run = Run::new(&fake);
    let (node, volume) = (run.images.node.clone(), run.images.preload.clone());
    let path = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let answers = |labels: serde_json::Value| {
        [
            (
                "POST /volumes/create",
                json(
                    201,
                    &json!({ "Name": "", "Driver": "", "Mountpoint": "", "Labels": {}, "Scope": "local", "Options": {} }),
                ),
            ),
            (
                path(format!("GET /images/{node}/json")),
                json(200, &json!({ "Config": { "Labels": labels } })),
            ),
            (path(format!("DELETE /containers/{volume}")), done()),
            (
                "POST /containers/create",
                json(201, &json!({ "Id": "0", "Warnings": [] })),
            ),
            (
                path(format!("PUT /containers/{volume}/archive")),
                Answer::Whole(200, Vec::new()),
            ),
            (path(format!("POST /containers/{volume}/start")), done()),
            (
                path(format!("GET /containers/{volume}/logs")),
                Answer::Whole(
                    200,
                    frames(&[(1, "progress 0 9 pause\n"), (2, "no space\n")]),
                ),
            ),
            (
                path(format!("POST /containers/{volume}/wait")),
                json(200, &json!({ "StatusCode": 1 })),
            ),
            (path(format!("DELETE /volumes/{volume}")), done()),
        ]
    };
    let fake = Fake::new(answers(
        json!({ "local-cluster.rights": "CHOWN,SYS_ADMIN", "local-cluster.rights-of": "ENGINE" }),
    ));
    let error = Run::new(&fake)
        .steps(vec![Step::FillPreload])
        .await
        .unwrap_err();
    assert!(
        in_one_line(&error).ends_with("exit status 1\nprogress 0 9 pause\nno space"),
        "{}",
        in_one_line(&error)
    );
    let log = fake.log();
    assert_eq!(
        log[log.len() - 2..],
        [
            format!("DELETE /containers/{volume}"),
            format!("DELETE /volumes/{volume}")
        ]
    );
    assert_hidden(&fake, &volume);
    let host = fake.only("POST /containers/create").json()["HostConfig"].clone();
    assert_eq!(host["CapAdd"], json!(["CHOWN", "SYS_ADMIN"]));

    // What an image says of another engine, or of none, is not believed.
    let throw_away = format!("local-cluster-rights-{}", std::process::id());
    for labels in [
        json!({ "local-cluster.rights": "CHOWN,SYS_ADMIN", "local-cluster.rights-of": "OTHER" }),
        json!({ "local-cluster.rights": "CHOWN,SYS_ADMIN" }),
        json!({}),
    ] {
        let fake = Fake::new(answers(labels));
        fake.add(&format!("POST /containers/{throw_away}/start"), done());
        fake.add(&format!("DELETE /containers/{throw_away}"), done());
        let mut run = Run::new(&fake);
        run.steps(vec![Step::FillPreload]).await.unwrap_err();
        let made = fake.all("POST /containers/create");
        let host = made.last().unwrap().json()["HostConfig"].clone();
        assert_eq!(made.len(), 2);
        assert_eq!(
            (&host["Privileged"], &host["CapAdd"]),
            (&json!(true), &json!(null))
        );
    }
}

#[tokio::test]
async fn a_build_tells_how_far_it_is() {
    let output =
        ["Step 1/2 : FROM a\n", "Step 2/2 : RUN b\n"].map(|line| json!({ "stream": line }));
    let fake = Fake::new([("POST /build", Answer::Whole(200, stream(&output)))]);
    let mut run = Run::new(&fake);
    run.inputs.base.debian_mirror = Some("http://mirror/debian".to_owned());
    run.steps(vec![Step::BuildNodeBase]).await.unwrap();
    let asked = fake.only("POST /build").query;
    assert!(
        asked.contains("%22DEBIAN_MIRROR%22%3A%22http%3A%2F%2Fmirror%2Fdebian%22"),
        "{asked}"
    );
    let events = run.events.lock().unwrap();
    let bars: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Progress { done, .. } => Some(*done),
            _ => None,
        })
        .collect();
    assert_eq!(bars, [0, 1]);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::ProgressFinished { .. }))
    );
}
