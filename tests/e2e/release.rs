//! Kubernetes and its tests from a release: from mirrors of the test's own, a server laid out as dl.k8s.io is and a registry,
//! with what was built from modules in them.

use crate::program::{Program, engine, engine_with};
use local_cluster::cluster::DEFAULT_VERSION;
use local_cluster::e2e::suite::Suite;
use local_cluster::image::base::BaseChoice;
use local_cluster::image::{
    CACHE_PATH, CACHE_VOLUME, ImageInputs, ImagePlan, Origin, PRELOAD_TESTS,
};
use local_cluster::settings::BaseKind;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

const NODE: &str = "kube-master";
/// The gateway of cluster 230: the registry is there for its nodes and for the engine's host, and for nobody else.
const GATEWAY: &str = "10.192.230.1";
/// An image of the tests that only the registry has; it is agnhost.
const ELSEWHERE: &str = "e2e-test-images/perl:5.26";
const TEST: &str = "should serve a basic endpoint from pods";

#[test]
fn a_cluster_comes_from_mirrors_of_a_release() {
    let maker = Program::new(230);
    maker.ok(&["up", "--num-nodes", "0", "--source", "modules"]);
    let mirror = Mirror::serve(&maker);
    let registry = Registry::start();
    registry.fill(&maker);

    let good = Source {
        url: mirror.url("release"),
        registry: registry.url(),
    };
    let images = good.images();
    let nowhere = Source {
        registry: format!("http://127.0.0.1:{}", closed_port()),
        ..good.clone()
    };
    let tests = good.tests();
    let made = Made {
        images: vec![images.node.clone(), nowhere.images().node, tests.clone()],
        preload: images.preload.clone(),
    };
    let program = Program::new(231)
        // It must be used for nothing, and stand in nothing that stays.
        .with("HTTP_PROXY", "http://me:secret@127.0.0.1:1")
        .with("NO_PROXY", format!("127.0.0.1,localhost,{GATEWAY}"));
    for (place, told) in [
        ("digest", "has digest"),
        ("missing", "answered 404 Not Found"),
        ("short", "broke off after 500 bytes of 1000"),
    ] {
        good.at(mirror.url(place)).fails(&program, told);
    }
    good.at(format!("http://127.0.0.1:{}/release", closed_port()))
        .fails(&program, "refuses connections");
    // The node image is whole by then, and stays; what could not be filled does not.
    assert_one_error(&program, &nowhere, "connection refused");
    assert_nothing_is_left(&[&nowhere.images().preload, "cluster-231"]);

    program.ok(&good.up());
    let container = engine(
        "GET",
        &format!("/containers/{}/json", program.container(NODE)),
    );
    assert!(
        container.contains(&images.node) && container.contains(&images.preload),
        "{container}"
    );
    let filler = engine("GET", &format!("/containers/{}/json", images.preload));
    assert!(
        !container.contains("secret") && !filler.contains("secret"),
        "{filler}"
    );
    let version = program.exec(NODE, &["kubelet", "--version"]);
    assert_eq!(version, format!("Kubernetes v{DEFAULT_VERSION}"));
    let nothing = program.ok(&[&good.up()[..], &["--dry-run"]].concat());
    assert_eq!(nothing, "nothing to do\n");
    assert_the_tests_come_from_there(&program);
    // What is there already needs no registry.
    drop(registry);
    program.ok(&["down"]);
    program.ok(&good.up());
    drop((program, made));
    assert_nothing_is_left(&[&images.node, &images.preload, &tests, "cluster-231"]);
}

/// Nobody says where that is: the cluster knows where it comes from.
fn assert_the_tests_come_from_there(program: &Program) {
    // Where there is an internet, the node has the official registry no more: what it gets is the mirror's.
    let none = "echo 127.0.0.1 registry.k8s.io >>/etc/hosts";
    program.exec(NODE, &["sh", "-c", none]);
    let told = program.run(&["e2e", TEST]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("download kubernetes-test, kubectl"), "{told}");
    assert!(told.contains("1 passed, 0 failed"), "{told}");
    // Which of the images a test needs is not known of a release: what is nowhere is told before it runs.
    let (warned, began) = (told.find("no registry gives them"), told.find("• run ..."));
    assert!(warned.is_some() && warned < began, "{told}");
    let images = program.ok(&["e2e", "images", TEST]);
    for (image, from) in [
        ("/pause:", "in every node"),
        ("/volume/nfs:", "nowhere to be had"),
        (ELSEWHERE, "from a registry"),
    ] {
        let line = images.lines().find(|line| line.contains(image));
        assert!(line.is_some_and(|line| line.ends_with(from)), "{images}");
    }
    let image = format!("registry.k8s.io/{ELSEWHERE}");
    program.kubectl(&["run", "elsewhere", "--image", &image, "--", "pause"]);
    let ready = ["--for=condition=Ready", "--timeout=5m"];
    program.kubectl(&[&["wait", "pod/elsewhere"], &ready[..]].concat());
}

/// The archive of a release's tests, of those that are built from modules.
fn tests_archive(maker: &Program) -> Vec<u8> {
    // Its node has the tests' images then, too, and of agnhost all that they call.
    maker.ok(&["e2e", TEST]);
    let built = ImagePlan::new(&inputs(Origin::Modules, PRELOAD_TESTS));
    let built = built.tests.unwrap();
    let script = format!(
        "mkdir -p /tmp/kubernetes/test/bin
         cp {0}/e2e.test {0}/ginkgo /tmp/kubernetes/test/bin/
         tar -C /tmp -cf - kubernetes | gzip -1 >/tmp/archive",
        built.programs.path()
    );
    let name = "local-cluster-e2e-archive";
    let mount =
        json!({ "Type": "volume", "Source": CACHE_VOLUME, "Target": CACHE_PATH, "ReadOnly": true });
    engine("DELETE", &format!("/containers/{name}?force=1"));
    engine_with(
        "POST",
        &format!("/containers/create?name={name}"),
        &json!({
            "Image": built.image,
            "Entrypoint": ["sh", "-ec", script],
            "HostConfig": { "Mounts": [mount] },
        }),
    );
    engine("POST", &format!("/containers/{name}/start"));
    let waited = engine("POST", &format!("/containers/{name}/wait"));
    let copied = format!(
        "curl -s --unix-socket /var/run/docker.sock 'http://localhost/containers/{name}/archive?path=/tmp/archive' | tar -xO"
    );
    let copied = Command::new("sh").args(["-c", &copied]).output().unwrap();
    engine("DELETE", &format!("/containers/{name}?force=1"));
    assert!(waited.contains("\"StatusCode\":0"), "{waited}");
    assert!(
        copied.stdout.starts_with(&[0x1f, 0x8b]),
        "{:?}",
        copied.stderr
    );
    copied.stdout
}

/// Where a release is said to be.
#[derive(Clone)]
struct Source {
    url: String,
    registry: String,
}

impl Source {
    fn at(&self, url: String) -> Self {
        Self {
            url,
            ..self.clone()
        }
    }

    fn up(&self) -> [&str; 9] {
        [
            "up",
            "--num-nodes",
            "0",
            "--source",
            "release",
            "--release-url",
            &self.url,
            "--image-registry",
            &self.registry,
        ]
    }

    fn origin(&self) -> Origin {
        Origin::Release {
            url: self.url.clone(),
            registry: self.registry.clone(),
        }
    }

    /// The names of what is made of it.
    fn images(&self) -> ImagePlan {
        ImagePlan::new(&inputs(self.origin(), "agnhost"))
    }

    /// The image of its tests.
    fn tests(&self) -> String {
        let inputs = inputs(self.origin(), PRELOAD_TESTS);
        let suite = Suite::new(&inputs, &ImagePlan::new(&inputs)).unwrap();
        suite.image().to_owned()
    }

    /// `up` fails with this, and leaves nothing.
    fn fails(&self, program: &Program, told: &str) {
        assert_one_error(program, self, told);
        let images = self.images();
        assert_nothing_is_left(&[&images.node, &images.preload, "cluster-231"]);
    }
}

/// What decides the images of a cluster of defaults.
fn inputs(origin: Origin, preload: &str) -> ImageInputs {
    let bundle = std::env::var("SSL_CERT_FILE")
        .unwrap_or_else(|_| "/etc/ssl/certs/ca-certificates.crt".to_owned());
    ImageInputs {
        version: DEFAULT_VERSION,
        origin,
        base: BaseChoice {
            kind: BaseKind::Auto,
            name: "auto".to_owned(),
            sha256: None,
            debian_mirror: None,
        },
        preload: vec![preload.to_owned()],
        ca_bundle: std::fs::read(bundle).ok(),
    }
}

fn assert_one_error(program: &Program, source: &Source, told: &str) {
    let (code, text) = program.fails(&source.up());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(told), "{told} in {text}");
    let errors = text
        .lines()
        .filter(|line| line.starts_with("error:") || line.starts_with("also:"));
    assert_eq!(errors.count(), 1, "{text}");
}

/// The engine has nothing in whose name one of these is.
fn assert_nothing_is_left(names: &[&str]) {
    for path in [
        "/containers/json?all=1",
        "/volumes",
        "/networks",
        "/images/json",
    ] {
        let found = engine("GET", path);
        for name in names {
            assert!(!found.contains(name), "{name} in {path}: {found}");
        }
    }
}

/// Takes away what this test has made of images, and only that.
struct Made {
    images: Vec<String>,
    preload: String,
}

impl Drop for Made {
    fn drop(&mut self) {
        let Self { images, preload } = self;
        engine("DELETE", &format!("/containers/{preload}?force=1"));
        engine("DELETE", &format!("/volumes/{preload}"));
        for image in images {
            engine("DELETE", &format!("/images/{image}"));
        }
    }
}

fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server of released binaries. What is asked below `digest`, `missing` and `short` is wrong as the name says.
struct Mirror(String);

/// The content of each path.
type Files = BTreeMap<String, Vec<u8>>;

impl Mirror {
    /// Serves the programs of a running node, and the tests.
    fn serve(program: &Program) -> Self {
        let directory = TempDir::new().unwrap();
        let mut files = Files::new();
        let architecture = architecture();
        let binaries = ["kubeadm", "kubelet", "kubectl"].map(|name| {
            let path = format!("/usr/local/bin/{name}");
            let content = program.run(&["exec", NODE, "cat", &path]).stdout;
            (format!("bin/linux/{architecture}/{name}"), content)
        });
        let archive = format!("kubernetes-test-linux-{architecture}.tar.gz");
        let tests = (archive, tests_archive(program));
        for (path, content) in binaries.into_iter().chain([tests]) {
            let file = directory.path().join("file");
            std::fs::write(&file, &content).unwrap();
            let summed = Command::new("sha256sum").arg(&file).output().unwrap();
            let path = format!("v{DEFAULT_VERSION}/{path}");
            let other = format!("{}\n", "0".repeat(64)).into_bytes();
            for place in ["digest", "short"] {
                files.insert(format!("/{place}/{path}.sha256"), other.clone());
                files.insert(format!("/{place}/{path}"), vec![0; 500]);
            }
            files.insert(format!("/release/{path}.sha256"), summed.stdout);
            files.insert(format!("/release/{path}"), content);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let files = Arc::new(files);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let files = Arc::clone(&files);
                // A client that goes away is part of the test.
                std::thread::spawn(move || answer(&connection, &files));
            }
        });
        Self(address.to_string())
    }

    fn url(&self, place: &str) -> String {
        format!("http://{}/{place}", self.0)
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

fn answer(mut connection: &TcpStream, files: &Files) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, content) = files
        .get(path)
        .map_or(("404 Not Found", &[][..]), |content| ("200 OK", content));
    let breaks_off = path.starts_with("/short/") && !path.ends_with(".sha256");
    let length = if breaks_off { 1000 } else { content.len() };
    write!(
        connection,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    connection.write_all(content)
}

/// Debian's `docker-registry` with an empty folder.
struct Registry {
    address: String,
    child: Child,
    _directory: TempDir,
}

impl Registry {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let listener = TcpListener::bind((GATEWAY, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let root = directory.path().join("images");
        let config = directory.path().join("config.yml");
        let text = serde_json::json!({
            "version": "0.1",
            "log": { "level": "error", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": root } },
            "http": { "addr": address },
        });
        std::fs::write(&config, text.to_string()).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package docker-registry must be installed, as scripts/test does it");
        Self {
            address,
            child,
            _directory: directory,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts the images of a node into it, under their usual names.
    fn fill(&self, program: &Program) {
        program.until("the registry answers", |_| {
            TcpStream::connect(&self.address).is_ok()
        });
        let images = program.exec(NODE, &["ctr", "-n", "k8s.io", "images", "ls", "-q"]);
        let released = images
            .lines()
            .filter_map(|name| Some((name, name.strip_prefix("registry.k8s.io/")?)));
        let agnhost = released
            .clone()
            .find(|(name, _)| name.contains("/agnhost:"));
        let elsewhere = agnhost.map(|(name, _)| (name, ELSEWHERE));
        for (name, path) in released.chain(elsewhere) {
            let target = format!("{}/{path}", self.address);
            let push = [
                "ctr",
                "-n",
                "k8s.io",
                "images",
                "push",
                "--plain-http",
                &target,
                name,
            ];
            program.exec(NODE, &push);
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
