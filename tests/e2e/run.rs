//! A cluster that lasts as long as the program runs.

use crate::program::{Program, engine};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

#[path = "../exposition.rs"]
mod exposition;

/// A run, and what it has told so far.
struct Run<'a> {
    program: &'a Program,
    child: Child,
    told: BufReader<std::process::ChildStderr>,
    address: String,
}

impl<'a> Run<'a> {
    /// Begins, at a port that is free; a master alone is enough.
    fn begin(program: &'a Program, more: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap().to_string();
        drop(port);
        let quick = ["run", "--num-nodes", "0", "--skip-snapshot", "--listen"];
        let arguments = [&quick[..], &[&address], more].concat();
        let mut child = program.spawn(&arguments);
        let told = BufReader::new(child.stderr.take().unwrap());
        Self {
            program,
            child,
            told,
            address,
        }
    }

    /// Waits until it has told this.
    fn until_told(&mut self, words: &str) {
        let mut all = String::new();
        while !all.contains(words) {
            let read = self.told.read_line(&mut all).unwrap();
            assert!(read > 0, "it has ended, and not told `{words}`:\n{all}");
        }
    }

    /// Status and body of an answer.
    fn ask(&self, request: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let head =
            format!("{request} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, body.to_owned())
    }

    fn signal(&self, signal: &str) {
        let kill = std::process::Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits for its end; gives the exit code, and the rest of what it told. Nothing of the cluster is left.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut told = String::new();
        self.told.read_to_string(&mut told).unwrap();
        let code = self.child.wait().unwrap().code();
        assert_nothing_is_left(self.program);
        (code, told)
    }
}

impl Drop for Run<'_> {
    /// Only of a test that has failed does it still run.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No container, volume or network has the cluster's label, and the client has no file and no context of it.
fn assert_nothing_is_left(program: &Program) {
    let label = format!("local-cluster-{}", program.id());
    for path in ["/containers/json?all=1", "/volumes", "/networks"] {
        let all: Value = serde_json::from_str(&engine("GET", path)).unwrap();
        let all = if all.is_array() {
            &all
        } else {
            &all["Volumes"]
        };
        let of_cluster = |one: &&Value| one["Labels"]["local-cluster.cluster"] == label.as_str();
        let left: Vec<&Value> = all.as_array().unwrap().iter().filter(of_cluster).collect();
        assert!(left.is_empty(), "{path}: {left:?}");
    }
    let directory = format!(".kubeadm-local-cluster/cluster-{}", program.id());
    assert!(!program.home().join(directory).exists());
    if let Ok(config) = std::fs::read_to_string(program.home().join(".kube/config")) {
        assert!(!config.contains(&label), "{config}");
    }
}

/// Prometheus' own checker finds nothing wrong.
fn promtool_accepts(text: &str) {
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let ended = promtool.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{told}{text}");
}

const READY: &str = "the cluster is ready; ";

#[test]
fn a_run_leaves_nothing_behind_however_it_ends() {
    let program = Program::new(30);
    ended_by_a_request(&program);
    ended_by_signals_and_time(&program);
    ended_by_somebody_else(&program);
    ended_while_it_comes_up(&program);
    refused_beside_a_cluster(&program);
}

/// All that is told by HTTP, too.
fn ended_by_a_request(program: &Program) {
    let link = program.home().join("kubectl");
    let mut run = Run::begin(program, &["--kubectl-link", link.to_str().unwrap()]);
    run.until_told("control plane ...");
    let (status, words) = run.ask("GET /healthz", "");
    assert_eq!(status, 503, "{words}");
    assert!(words.starts_with("the cluster is coming up"), "{words}");
    run.until_told(READY);
    program.until("it says that it works", |_| {
        run.ask("GET /healthz", "") == (200, "ok\n".to_owned())
    });
    let version = std::process::Command::new(&link)
        .args(["version", "--client"])
        .output();
    assert!(version.unwrap().status.success());
    let config = std::fs::read_to_string(program.home().join(".kube/config")).unwrap();
    assert!(config.contains("local-cluster-30"), "{config}");

    let (status, text) = run.ask("GET /metrics", "");
    assert_eq!(status, 200, "{text}");
    let families = exposition::check(&text).unwrap();
    let values = |family: &str| families[&format!("local_cluster_{family}")].join("\n");
    assert_eq!(values("healthy"), "local_cluster_healthy 1");
    assert_eq!(
        values("component_healthy").matches(" 1").count(),
        6,
        "{text}"
    );
    assert!(values("node_ready").ends_with(r#"{node="kube-master",role="master"} 1"#));
    assert!(values("up_stage_seconds").contains(r#"stage="control plane""#));

    // Others may work on the cluster meanwhile, and what becomes of it shows.
    program.ok(&["stop"]);
    program.until("the stop shows", |_| {
        let (status, words) = run.ask("GET /healthz", "");
        status == 503 && words.contains("kube-master-cluster-30 does not run: it is stopped")
    });
    program.ok(&["start"]);
    program.until("it works again", |_| run.ask("GET /healthz", "").0 == 200);
    let (_, text) = run.ask("GET /metrics", "");
    assert!(text.contains("container_restarts{"), "{text}");
    promtool_accepts(&text);

    for (request, headers, wanted) in [
        ("GET /stop", "", 405),
        ("POST /stop", "origin: http://page.example\r\n", 403),
        ("POST /", "", 404),
    ] {
        assert_eq!(run.ask(request, headers).0, wanted, "{request}");
    }
    assert_eq!(run.ask("POST /stop", "").0, 202);
    let (code, told) = run.ended();
    assert_eq!(code, Some(0), "{told}");
    assert!(std::fs::symlink_metadata(&link).is_err());
}

fn ended_by_signals_and_time(program: &Program) {
    for signal in ["-TERM", "-INT"] {
        let mut run = Run::begin(program, &[]);
        run.until_told(READY);
        run.signal(signal);
        let (code, told) = run.ended();
        assert_eq!(code, Some(0), "{signal}: {told}");
    }
    // By then it may be ready or not, which is the difference between 0 and 1.
    let (code, told) = Run::begin(program, &["--timeout", "45s"]).ended();
    let late = told.contains("error: the cluster was not ready within 45s");
    assert_eq!(code, Some(i32::from(late)), "{told}");
    assert!(
        told.contains("the cluster is taken down: its time is over"),
        "{told}"
    );
}

/// Who has tests running on a cluster that somebody removes learns of it.
fn ended_by_somebody_else(program: &Program) {
    let mut run = Run::begin(program, &[]);
    run.until_told(READY);
    program.ok(&["clean"]);
    let (code, told) = run.ended();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("somebody has removed cluster"), "{told}");
}

fn ended_while_it_comes_up(program: &Program) {
    for moment in ["network ...", "master ...", "control plane ..."] {
        let mut run = Run::begin(program, &[]);
        run.until_told(moment);
        run.signal("-INT");
        let (code, told) = run.ended();
        assert_eq!(code, Some(130), "{moment}: {told}");
    }
    let mut run = Run::begin(program, &[]);
    run.until_told("control plane ...");
    assert_eq!(run.ask("POST /stop", "").0, 202);
    assert_eq!(run.ended().0, Some(130));
    // Too short for any machine.
    let (code, told) = Run::begin(program, &["--timeout", "1s"]).ended();
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("error: the cluster was not ready within 1s"),
        "{told}"
    );
}

/// What was there before is not taken down.
fn refused_beside_a_cluster(program: &Program) {
    program.ok(&["up", "--num-nodes", "0", "--skip-snapshot"]);
    let run = ["run", "--num-nodes", "0", "--listen", "127.0.0.1:0"];
    let (code, told) = program.fails(&run);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("cluster `local-cluster-30` is there already"),
        "{told}"
    );
    program.kubectl(&["get", "nodes"]);
}

/// In a node, where systemd is: the run itself finds no engine there, and says so in the journal.
#[test]
fn systemd_takes_a_run() {
    let program = Program::new(31);
    program.ok(&["up", "--num-nodes", "0", "--skip-snapshot"]);
    let binary = std::fs::File::open(env!("CARGO_BIN_EXE_local-cluster")).unwrap();
    let copy = [
        "exec",
        "kube-master",
        "sh",
        "-c",
        "cat >/srv/local-cluster && chmod 755 /srv/local-cluster",
    ];
    let copied = program.command(&copy).stdin(binary).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let script = "cd /srv && export HOME=/root ODD='a \"b\" $HOME' DOCKER_HOST=unix:///no.sock && \
                  ./local-cluster run --systemd-unit ci --label '$HOME' 2>&1; echo code $?; \
                  ./local-cluster run --systemd-unit=ci --timeout 1h --label dev 2>&1; echo code $?";
    let told = program.exec("kube-master", &["sh", "-c", script]);
    // A label that is none is refused before systemd is asked.
    assert!(
        told.contains("cluster.label: `$HOME` cannot be a label") && told.contains("code 2"),
        "{told}"
    );
    assert!(
        told.contains("the run goes on as service `ci` of systemd"),
        "{told}"
    );
    assert!(
        told.contains("journalctl -fu ci") && told.ends_with("code 0"),
        "{told}"
    );
    program.until("the service has told what became of it", |program| {
        let journal = program.exec("kube-master", &["journalctl", "-u", "ci", "--no-pager"]);
        journal.contains("cannot reach the Docker engine at unix:///no.sock")
    });
    let left = program.exec(
        "kube-master",
        &["sh", "-c", "ls -A /root/.local/state/local-cluster"],
    );
    assert!(left.lines().all(|name| !name.starts_with(".tmp")), "{left}");
}
