//! The images of the tests: which there are, and how they come into the nodes.

use super::{Tests, container};
use crate::cli::Output;
use crate::commands::load::{From, Loading};
use crate::commands::print;
use crate::e2e::suite::BuiltSuite;
use crate::e2e::{Chosen, Need, Source};
use crate::error::Error;
use crate::execute::{self, Times};
use crate::load::{Digest, Held};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Prints those images that no registry gives the node: each is resolved as its runtime would do it, by way of a mirror and
/// of the runtime's proxies where there are such, and nothing of it is kept. The proxies' file is the first argument, the
/// images are the others.
const LOOK: &str = r#"
proxies=$1
shift
if [ -e $proxies ]; then
  # NAME="VALUE", for systemd and for no shell: a `$` is a `$`.
  while IFS='=' read -r name value; do
    value=${value#\"}
    export "$name=${value%\"}"
  done <$proxies
fi
for image; do
  timeout 20 ctr content fetch-object --hosts-dir /etc/containerd/certs.d "$image" >/dev/null 2>&1 || echo "$image" &
done
wait
"#;

/// The proxies of a node's runtime.
const PROXIES: &str = "/data/local-cluster/proxy.env";

/// The images that only a registry has, and that not all nodes have.
pub(super) fn absent(needs: &[Need], held: &[Held]) -> Vec<String> {
    let everywhere = |name: &String| held.iter().all(|held| held.images.contains_key(name));
    let absent = needs
        .iter()
        .filter(|need| need.source == Source::Registry && !everywhere(&need.name));
    absent.map(|need| need.name.clone()).collect()
}

/// Where an image comes from.
fn whence(need: &Need, absent: &[String], nowhere: &[String]) -> String {
    match need.source {
        Source::Assembled("") => "assembled".to_owned(),
        Source::Assembled(note) => format!("assembled: {note}"),
        Source::Never => "not to be had, which its tests want".to_owned(),
        Source::Registry if nowhere.contains(&need.name) => "nowhere to be had".to_owned(),
        Source::Registry if absent.contains(&need.name) => "from a registry".to_owned(),
        Source::Node | Source::Registry => "in every node".to_owned(),
    }
}

impl Tests<'_> {
    /// Those of the images that no registry gives a node.
    pub(super) async fn nowhere(
        &self,
        absent: &[String],
        times: &mut Times,
    ) -> Result<Vec<String>, Error> {
        let Some(node) = self.nodes.first().filter(|_| !absent.is_empty()) else {
            return Ok(Vec::new());
        };
        let mut command = vec!["sh", "-c", LOOK, "sh", PROXIES];
        command.extend(absent.iter().map(String::as_str));
        let doing = || format!("see which images registries give {node}");
        let looking = async {
            let mut nowhere = BTreeSet::new();
            let looked = self.engine.exec_lines(node, &command, |line| {
                nowhere.insert(line.to_owned());
            });
            let looked = tokio::select! {
                looked = looked => looked,
                () = self.cancel.cancelled() => {
                    return Err(Error::Interrupted { after: String::new() });
                }
            };
            let status = looked.map_err(|source| Error::other(doing(), source))?;
            if status != 0 {
                let told = format!("cannot {}: sh ended with {status}", doing());
                return Err(Error::message(told));
            }
            let is_nowhere = |name: &&String| nowhere.contains(*name);
            Ok(absent.iter().filter(is_nowhere).cloned().collect())
        };
        execute::stage("look", &self.session.reporter, times, Box::pin(looking)).await
    }

    pub(super) fn tell_nowhere(&self, nowhere: &[String]) {
        if nowhere.is_empty() {
            return;
        }
        let hint = format!(
            "`docker pull` them and `local-cluster{} load` them, or leave tests out: `e2e FOCUS SKIP`",
            self.identity.flag()
        );
        self.session.reporter.warn(
            format!(
                "some of these tests may ask for images that are not in the nodes, and that no registry gives them: such a \
                 test fails after minutes of waiting: {}",
                nowhere.join(", ")
            ),
            Some(&hint),
        );
    }

    /// Brings what was assembled into the nodes.
    pub(super) async fn load(
        &self,
        suite: &BuiltSuite,
        chosen: &Chosen,
        held: &[Held],
        times: &mut Times,
    ) -> Result<(), Error> {
        let needed = chosen.needs().into_iter();
        let assembled = needed.filter(|need| matches!(need.source, Source::Assembled(_)));
        let names: BTreeSet<String> = assembled.map(|need| need.name).collect();
        // A container that never runs: what is in the volume can be read through it.
        let name = format!("{}-images", container(&self.identity.names));
        let job = self.job(name.clone(), "images", Vec::new());
        let created = self.engine.create_job(&job).await;
        created.map_err(|source| Error::other("read the images of the tests", source))?;
        let loading = Loading {
            engine: self.engine,
            nodes: &self.nodes,
            directory: self.session.downloads(),
            reporter: &self.session.reporter,
            cancel: self.cancel,
        };
        let from = From::Volume {
            container: name.clone(),
            path: suite.layout_path(),
            names: names.clone(),
        };
        let loaded = async {
            let wanted = self.assembled(suite, &name).await?;
            let mut wanted = wanted.iter().filter(|(name, _)| names.contains(*name));
            // By digest: nodes may have what was assembled under the same name before something of it was changed.
            if wanted.all(|(name, digest)| held.iter().all(|held| held.names(name, digest))) {
                return Ok(());
            }
            loading.run(&from, times).await.map(drop)
        };
        let loaded = loaded.await;
        let removed = self.engine.remove_container(&name).await;
        loaded?;
        removed.map_err(|source| Error::other(format!("remove container {name}"), source))
    }

    /// What was assembled: names and the digests of their manifests.
    async fn assembled(
        &self,
        suite: &BuiltSuite,
        container: &str,
    ) -> Result<BTreeMap<String, Digest>, Error> {
        let path = format!("{}/index.json", suite.layout_path());
        let files = self.files(container, &path, &["index.json"]).await;
        let doing = "read the list of the tests' images";
        let files = files.map_err(|source| Error::other(doing, source))?;
        let (_, index) = files
            .first()
            .ok_or_else(|| Error::message(format!("cannot {doing}: there is none")))?;
        crate::load::listed(index).map_err(|source| Error::other(doing, source))
    }

    /// `e2e images`.
    pub(super) fn print_images(
        &self,
        chosen: &Chosen,
        absent: &[String],
        nowhere: &[String],
    ) -> Result<u8, Error> {
        let needs = chosen.needs();
        let told = |need: &Need| whence(need, absent, nowhere);
        if self.session.output == Output::Json {
            let images: Vec<_> = needs
                .iter()
                .map(|need| json!({ "name": need.name, "from": told(need), "absent": nowhere.contains(&need.name) }))
                .collect();
            return print(&json!({ "tests": chosen.specs.len(), "images": images }).to_string());
        }
        let width = needs.iter().map(|need| need.name.len()).max().unwrap_or(0);
        let text = needs.iter().fold(String::new(), |mut text, need| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:<width$}  {}", need.name, told(need));
            text
        });
        print(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Named;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    fn held(images: &[&str]) -> Held {
        let mut held = Held::default();
        for name in images {
            let digest = Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
            let size = String::new();
            held.images
                .insert((*name).to_owned(), Named { digest, size });
        }
        held
    }

    #[test]
    fn what_one_node_lacks_is_looked_for() {
        let need = |name: &str, source| Need {
            name: name.to_owned(),
            source,
        };
        let needs = [
            need("both", Source::Registry),
            need("one", Source::Registry),
            need("none", Source::Registry),
            need("made", Source::Assembled("")),
            need("never", Source::Never),
        ];
        let absent = absent(&needs, &[held(&["both", "one"]), held(&["both"])]);
        assert_eq!(absent, ["one", "none"]);
        let told = needs.map(|need| whence(&need, &absent, &["none".to_owned()]));
        assert_eq!(
            told,
            [
                "in every node",
                "from a registry",
                "nowhere to be had",
                "assembled",
                "not to be had, which its tests want"
            ]
        );
    }

    #[test]
    fn a_look_goes_by_the_runtimes_proxies() {
        let folder = tempfile::tempdir().unwrap();
        let ctr = folder.path().join("ctr");
        // It gives what the proxy is asked for.
        let script =
            "#!/bin/sh\nfor image; do :; done\n[ \"$HTTPS_PROXY $NO_PROXY\" = \"$image\" ]\n";
        std::fs::write(&ctr, script).unwrap();
        std::fs::set_permissions(&ctr, std::fs::Permissions::from_mode(0o755)).unwrap();
        let proxies = folder.path().join("proxy.env");
        std::fs::write(
            &proxies,
            "HTTPS_PROXY=\"http://a:$b=@c\"\nNO_PROXY=\"d,e=\"\n",
        )
        .unwrap();
        let path = format!(
            "{}:{}",
            folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        let look = |proxies: &std::path::Path| {
            let looked = Command::new("sh")
                .args(["-c", LOOK, "sh"])
                .arg(proxies)
                .args(["other", "http://a:$b=@c d,e="])
                .env("PATH", &path)
                .env_remove("HTTPS_PROXY")
                .env_remove("NO_PROXY")
                .output()
                .unwrap();
            assert!(looked.status.success(), "{looked:?}");
            let text = String::from_utf8(looked.stdout).unwrap();
            text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(look(&proxies), BTreeSet::from(["other".to_owned()]));
        assert_eq!(look(&folder.path().join("none")).len(), 2);
    }
}
