//! The program as a user runs it, with a home of its own.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long beyond what anything takes on a slow machine: nothing is timed here.
const PATIENCE: Duration = Duration::from_mins(5);

/// Between two looks at what is waited for, which is given the processors meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// One cluster of one test; removed when the test is over, well or not.
pub(crate) struct Program {
    home: TempDir,
    /// The flag that says which cluster is meant, and its value.
    which: [String; 2],
    /// What the names of its containers end in.
    suffix: String,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    /// A cluster id that no person uses, a number for each test.
    pub(crate) fn new(id: u8) -> Self {
        Self::of("--cluster-id", &id.to_string(), format!("cluster-{id}"))
    }

    /// A cluster with a name, whose number the program chooses.
    pub(crate) fn labelled(label: &str) -> Self {
        Self::of("--label", label, label.to_owned())
    }

    fn of(flag: &str, value: &str, suffix: String) -> Self {
        let program = Self {
            home: TempDir::new().unwrap(),
            which: [flag.to_owned(), value.to_owned()],
            suffix,
            environment: Vec::new(),
        };
        program.run(&["clean"]);
        program
    }

    /// The same with a variable of the environment.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.at_home(env!("CARGO_BIN_EXE_local-cluster"));
        command.args(&self.which).args(arguments);
        command
    }

    /// Runs a script in which `local-cluster` is this program, and means this cluster, as in a CI job.
    pub(crate) fn shell(&self, script: &str) -> Output {
        let mut path = std::path::Path::new(env!("CARGO_BIN_EXE_local-cluster"))
            .parent()
            .unwrap()
            .as_os_str()
            .to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        self.at_home("bash")
            .args(["-e", "-c", script])
            .env("PATH", path)
            .env("K8S_DIND_CLUSTER_ID", self.id())
            .output()
            .unwrap()
    }

    /// A command with this cluster's home and variables.
    fn at_home(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("HOME", self.home.path())
            .env(
                "XDG_STATE_HOME",
                std::env::temp_dir().join("local-cluster-e2e"),
            )
            .env_remove("KUBECONFIG")
            .env("K8S_DIND_PRELOAD", "agnhost")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; gives what it wrote to standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail; gives its exit code and what it wrote to standard error.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?} succeeded:\n{text}");
        (output.status.code(), text)
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a command, and kills it at this moment of its life; it may have ended before.
    pub(crate) fn killed(&self, arguments: &[&str], moment: Duration) {
        let mut child = self.spawn(arguments);
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What `status` tells, of a cluster that is whole or not.
    pub(crate) fn status(&self, more: &[&str]) -> String {
        let output = self.run(&[&["status"], more].concat());
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(
            !told.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        told
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.ok(&[&["kubectl"], arguments].concat())
            .trim()
            .to_owned()
    }

    /// What a command in a node writes.
    pub(crate) fn exec(&self, node: &str, arguments: &[&str]) -> String {
        self.ok(&[&["exec", node], arguments].concat())
            .trim()
            .to_owned()
    }

    /// The cluster works, and of what was broken off nothing is left over.
    pub(crate) fn assert_whole(&self) {
        self.ok(&["up"]);
        let list = |path: &str, of: fn(Value) -> Value| -> Vec<Value> {
            let all: Value = serde_json::from_str(&engine("GET", path)).unwrap();
            let cluster = format!(
                "local-cluster-{}",
                self.suffix.trim_start_matches("cluster-")
            );
            let mut all = of(all).as_array().unwrap().clone();
            all.retain(|one| one["Labels"]["local-cluster.cluster"] == cluster.as_str());
            all
        };
        let containers = list("/containers/json?all=1", |all| all);
        for container in &containers {
            let name = container["Names"][0].as_str().unwrap();
            assert!(name.ends_with(&self.suffix), "{name}");
        }
        let mut volumes = list("/volumes", |all| all["Volumes"].clone());
        volumes.retain(|volume| volume["Labels"]["local-cluster.snapshot"].is_null());
        assert_eq!(
            volumes.len(),
            containers.len(),
            "a data volume for each node: {volumes:?}"
        );
    }

    /// Writes to the cluster while something else is done: ConfigMaps of that name and `-0`, `-1`... one after another. Gives
    /// how many of them were acknowledged, which all must be.
    pub(crate) fn while_it_is_written_to(&self, name: &str, doing: impl FnOnce()) -> usize {
        // Not by the program, which sees that the nodes stand still: a client does not.
        let folder = self
            .home()
            .join(".kubeadm-local-cluster")
            .join(&self.suffix);
        let create = |name: &str| {
            Command::new(folder.join("kubectl"))
                .args(["create", "configmap", name])
                .env("KUBECONFIG", folder.join("admin.conf"))
                .output()
                .unwrap()
        };
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut written = 0;
                while !done.load(Ordering::Relaxed) {
                    let name = format!("{name}-{written}");
                    let created = create(&name);
                    assert!(created.status.success(), "{name}: {created:?}");
                    written += 1;
                }
                written
            });
            doing();
            done.store(true, Ordering::Relaxed);
            writing.join().unwrap()
        })
    }

    /// Every certificate of a node ends in ten years, those in kubeconfigs too; a day is for the test.
    pub(crate) fn assert_certificates_last(&self, node: &str) {
        let script = "cd /etc/kubernetes
            files=$(find pki /var/lib/kubelet/pki -name '*.crt' -o -name '*.pem' | sort)
            for file in $files; do
              openssl x509 -checkend 315273600 -noout -in $file >/dev/null && echo lasts $file || echo ends $file
            done
            for config in *.conf; do
              data=$(sed -n 's/.*client-certificate-data: //p' $config)
              [ -n \"$data\" ] || continue
              echo $data | base64 -d | openssl x509 -checkend 315273600 -noout >/dev/null &&
                echo lasts $config || echo ends $config
            done";
        let told = self.exec(node, &["sh", "-c", script]);
        assert!(!told.contains("ends "), "{node}: {told}");
        // A worker has the authority's, and its kubelet's two.
        let least = if node.starts_with("kube-master") {
            14
        } else {
            3
        };
        assert!(told.lines().count() >= least, "{node}: {told}");
    }

    /// The name of a node's container.
    pub(crate) fn container(&self, node: &str) -> String {
        format!("{node}-{}", self.suffix)
    }

    /// The id or the label by which it is meant.
    pub(crate) fn id(&self) -> String {
        self.which[1].clone()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    /// Asks until the answer is right.
    pub(crate) fn until(&self, what: &str, mut right: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !right(self) {
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.run(&["clean"]);
    }
}

/// Asks the engine on its socket, as `curl` does: the program has no command for what only a test does.
pub(crate) fn engine(method: &str, path: &str) -> String {
    curl(method, path, &[])
}

fn curl(method: &str, path: &str, more: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-s", "--unix-socket", "/var/run/docker.sock", "-X", method])
        .args(more)
        .arg(format!("http://localhost{path}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{method} {path}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Gives the engine an archive of images, as `docker load` does.
pub(crate) fn load_into_engine(archive: &std::path::Path) {
    let data = format!("@{}", archive.display());
    let more = [
        "-H",
        "Content-Type: application/x-tar",
        "--data-binary",
        &data,
    ];
    let answer = curl("POST", "/images/load", &more);
    assert!(answer.contains("Loaded image"), "{answer}");
}

/// The same with a body.
pub(crate) fn engine_with(method: &str, path: &str, body: &serde_json::Value) -> String {
    let more = [
        "-H",
        "Content-Type: application/json",
        "-d",
        &body.to_string(),
    ];
    curl(method, path, &more)
}

/// Ends Docker's engine and starts it again, and with it all its containers.
#[cfg(feature = "e2e-all")]
pub(crate) fn restart_engine() {
    library("restart_docker");
}

/// Kills Docker's engine and starts it again.
#[cfg(feature = "e2e-all")]
pub(crate) fn crash_engine() {
    library("crash_docker");
}

/// Runs a function of the scripts' library.
#[cfg(feature = "e2e-all")]
fn library(function: &str) {
    let script = format!(". scripts/lib.sh && {function}");
    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(ran.success());
}
