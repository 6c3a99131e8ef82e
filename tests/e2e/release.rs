//! Kubernetes from a release: from mirrors of the test's own, a server laid out as dl.k8s.io is and a registry, with what was
//! built from modules in them.

use crate::program::{Program, engine};
use local_cluster::cluster::DEFAULT_VERSION;
use local_cluster::image::base::BaseChoice;
use local_cluster::image::{ImageInputs, ImagePlan, Origin};
use local_cluster::settings::BaseKind;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

const NODE: &str = "kube-master";
/// The gateway of cluster 230: the registry is there for its nodes and for the engine's host, and for nobody else.
const GATEWAY: &str = "10.192.230.1";

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
    let made = Made(good.images());
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
    let closed = closed_port();
    good.at(format!("http://127.0.0.1:{closed}/release"))
        .fails(&program, "refuses connections");
    // The node image is whole by then, and stays; what could not be filled does not.
    let nowhere = Source {
        registry: format!("http://127.0.0.1:{closed}"),
        ..good.clone()
    };
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
    // What is there already needs no registry.
    drop(registry);
    program.ok(&["down"]);
    program.ok(&good.up());
    drop((program, made));
    assert_nothing_is_left(&[&images.node, &images.preload, "cluster-231"]);
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

    /// The names of what is made of it.
    fn images(&self) -> ImagePlan {
        let bundle = std::env::var("SSL_CERT_FILE")
            .unwrap_or_else(|_| "/etc/ssl/certs/ca-certificates.crt".to_owned());
        ImagePlan::new(&ImageInputs {
            version: DEFAULT_VERSION,
            origin: Origin::Release {
                url: self.url.clone(),
                registry: self.registry.clone(),
            },
            base: BaseChoice {
                kind: BaseKind::Auto,
                name: "auto".to_owned(),
                sha256: None,
                debian_mirror: None,
            },
            preload: vec!["agnhost".to_owned()],
            ca_bundle: std::fs::read(bundle).ok(),
        })
    }

    /// `up` fails with this, and leaves nothing.
    fn fails(&self, program: &Program, told: &str) {
        assert_one_error(program, self, told);
        let images = self.images();
        assert_nothing_is_left(&[&images.node, &images.preload, "cluster-231"]);
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
struct Made(ImagePlan);

impl Drop for Made {
    fn drop(&mut self) {
        let Self(ImagePlan { node, preload, .. }) = self;
        engine("DELETE", &format!("/containers/{preload}?force=1"));
        engine("DELETE", &format!("/volumes/{preload}"));
        engine("DELETE", &format!("/images/{node}"));
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
    /// Serves the programs of a running node.
    fn serve(program: &Program) -> Self {
        let directory = TempDir::new().unwrap();
        let mut files = Files::new();
        for name in ["kubeadm", "kubelet", "kubectl"] {
            let path = format!("/usr/local/bin/{name}");
            let content = program.run(&["exec", NODE, "cat", &path]).stdout;
            let file = directory.path().join(name);
            std::fs::write(&file, &content).unwrap();
            let summed = Command::new("sha256sum").arg(&file).output().unwrap();
            let path = format!("v{DEFAULT_VERSION}/bin/linux/{}/{name}", architecture());
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
        for (name, path) in released {
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
