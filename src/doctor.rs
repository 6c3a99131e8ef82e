//! What the engine and its host lack, told before anything is made, with the remedy. PURE but for `host`.

pub mod host;

use crate::engine::Facts;
use host::Host;

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is so.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// Nothing can work until it is done. Else it is a warning.
    pub fatal: bool,
}

/// inotify instances that a node takes: systemd, containerd, kubelet and the control plane (counted on running nodes).
const INOTIFY_PER_NODE: u64 = 16;
/// What the rest of a host has in use, as a rule.
const INOTIFY_OTHERS: u64 = 32;
/// Memory of a master, and of a worker, in bytes: all components at rest.
const MASTER_MEMORY: u64 = 800 << 20;
const WORKER_MEMORY: u64 = 300 << 20;
/// Free disk below which kubelet or etcd soon fail, in bytes; and what the first build of images takes.
const DISK: u64 = 2 << 30;
const DISK_FOR_IMAGES: u64 = 15 << 30;

/// What is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Masters to make.
    pub masters: u64,
    /// Workers to make.
    pub workers: u64,
    /// Images have to be built.
    pub images: bool,
}

/// Looks at what the engine says of itself and at what is known of its host: nothing where the engine is remote.
pub fn examine(facts: &Facts, host: Option<&Host>, load: Load) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |fatal: bool, text: String, remedy: &str| {
        findings.push(Finding {
            text,
            remedy: remedy.to_owned(),
            fatal,
        });
    };
    if facts.backing_filesystem.as_deref() == Some("overlayfs") {
        find(
            true,
            format!(
                "the engine keeps its data on an overlay file system ({}), on which nodes cannot put another",
                facts.data_root
            ),
            "give the engine a data root on a disk: `\"data-root\": \"/path/on/ext4\"` in its daemon.json, or a volume at /var/lib/docker where the engine itself runs in a container",
        );
    }
    if matches!(
        facts.storage_driver.as_str(),
        "btrfs" | "zfs" | "devicemapper" | "aufs"
    ) {
        find(
            false,
            format!(
                "the engine's storage driver is `{}`, with which nodes have not been tried",
                facts.storage_driver
            ),
            "use `overlay2` on ext4 or xfs if nodes do not come up",
        );
    }
    if facts
        .security_options
        .iter()
        .any(|option| option.contains("name=rootless"))
    {
        find(
            true,
            "the engine runs rootless, and nodes need real root rights".to_owned(),
            "use an engine that runs as root: `DOCKER_HOST=unix:///var/run/docker.sock`",
        );
    }
    let need = load.masters * MASTER_MEMORY + load.workers * WORKER_MEMORY;
    let memory = host
        .and_then(|host| host.memory_available)
        .unwrap_or(facts.memory);
    if need > 0 && memory < need {
        find(
            facts.memory < need,
            format!(
                "the nodes need {} MB of memory and {} MB are free",
                need >> 20,
                memory >> 20
            ),
            "ask for fewer workers with `--num-nodes`, or stop other clusters with `local-cluster down`",
        );
    }
    let Some(host) = host else { return findings };
    if let Some(limit) = host.inotify_instances {
        let need = (load.masters + load.workers) * INOTIFY_PER_NODE + INOTIFY_OTHERS;
        if load.masters + load.workers > 0 && limit < need {
            find(
                true,
                format!(
                    "the host allows {limit} inotify instances (fs.inotify.max_user_instances), and the nodes need {need}"
                ),
                "raise it: `sudo sysctl fs.inotify.max_user_instances=1024`, and the same line in /etc/sysctl.d/ to keep it",
            );
        }
    }
    if let Some(free) = host.disk_free {
        let need = if load.images { DISK_FOR_IMAGES } else { DISK };
        if free < need {
            find(
                free < DISK,
                format!(
                    "{} has {} MB of disk left, and {} MB are needed",
                    facts.data_root,
                    free >> 20,
                    need >> 20
                ),
                "free some: `local-cluster clean --images --cache` removes what this tool takes, `docker system df` shows what others take",
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            id: "ENGINE".to_owned(),
            version: "20.10.24".to_owned(),
            storage_driver: "overlay2".to_owned(),
            cgroup_v1: true,
            architecture: "x86_64".to_owned(),
            memory: 8 << 30,
            data_root: "/var/lib/docker".to_owned(),
            security_options: Vec::new(),
            backing_filesystem: Some("extfs".to_owned()),
        }
    }

    const THREE: Load = Load {
        masters: 1,
        workers: 2,
        images: false,
    };
    const GOOD: Host = Host {
        inotify_instances: Some(1024),
        disk_free: Some(100 << 30),
        memory_available: Some(4 << 30),
    };

    #[test]
    fn a_good_host_lacks_nothing() {
        assert_eq!(examine(&facts(), Some(&GOOD), THREE), []);
        assert_eq!(examine(&facts(), None, THREE), []);
    }

    #[test]
    fn each_lack_is_found_with_its_remedy() {
        let overlay = Facts {
            backing_filesystem: Some("overlayfs".to_owned()),
            ..facts()
        };
        let rootless = Facts {
            security_options: vec!["name=rootless".to_owned()],
            ..facts()
        };
        let btrfs = Facts {
            storage_driver: "btrfs".to_owned(),
            ..facts()
        };
        let small = Facts {
            memory: 1 << 30,
            ..facts()
        };
        let no_memory = Host {
            memory_available: Some(1 << 30),
            ..GOOD
        };
        let no_inotify = Host {
            inotify_instances: Some(60),
            ..GOOD
        };
        let no_disk = Host {
            disk_free: Some(1 << 30),
            ..GOOD
        };
        for (facts, host, fatal, words) in [
            (overlay, GOOD, true, "overlay file system"),
            (rootless, GOOD, true, "rootless"),
            (btrfs, GOOD, false, "btrfs"),
            (small, no_memory, true, "memory"),
            (facts(), no_memory, false, "memory"),
            (facts(), no_inotify, true, "inotify"),
            (facts(), no_disk, true, "disk"),
        ] {
            let found = examine(&facts, Some(&host), THREE);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].fatal, fatal, "{found:?}");
            assert!(found[0].text.contains(words), "{found:?}");
        }
    }
}
