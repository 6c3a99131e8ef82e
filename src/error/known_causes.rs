//! Causes that have been seen before, and what helps.

/// A cause that is recognised by its text.
#[derive(Clone, Copy, Debug)]
pub struct KnownCause {
    /// All of these must be in the text, in lower case.
    pub patterns: &'static [&'static str],
    /// What to do about it.
    pub hint: &'static str,
}

const ENGINE_DOWN: &str = "is Docker running, and is it the right one? `docker context ls` and `docker info` tell; `DOCKER_HOST` names another engine";
const INOTIFY: &str = "the host's limits for inotify are too low for several nodes: `sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=1048576`";
const POOL: &str = "another network has these addresses: choose a free range with `--dind-subnet`, for instance `--dind-subnet 10.193.0.0/16`";
const PORT: &str =
    "another program has this port on the engine's host: stop it, or choose another port";
const CAPABILITIES: &str = "the engine may not give all capabilities (it runs in a container or without root itself): run it with more rights, or let `local-cluster doctor` tell what is missing";
const CLOCK: &str = "the clocks of this host and of the engine's host differ, or the certificates are of a cluster that is gone: set the clocks, then run `local-cluster up` again";
const AUTHORITY: &str = "someone on the way (a proxy) signs with a CA of its own: give its certificates to the tool and the nodes, as in `SSL_CERT_FILE=/path/to/ca.crt`";
const CGROUP_V1: &str = "the engine's host has cgroup v1, which kubelet refuses from Kubernetes 1.35 on: boot it with `systemd.unified_cgroup_hierarchy=1`, or choose an older Kubernetes version";
const DISK: &str = "the disk of the engine's host is full (or out of inodes): `docker system df` shows what takes the space, `docker system prune` frees what is unused";

/// The table. Several may match; a hint is given once.
pub const KNOWN_CAUSES: &[KnownCause] = &[
    KnownCause {
        patterns: &["docker", "connection refused"],
        hint: ENGINE_DOWN,
    },
    KnownCause {
        patterns: &["cannot connect to the docker daemon"],
        hint: ENGINE_DOWN,
    },
    KnownCause {
        patterns: &["docker.sock", "no such file or directory"],
        hint: ENGINE_DOWN,
    },
    KnownCause {
        patterns: &["socket not found", "docker"],
        hint: ENGINE_DOWN,
    },
    KnownCause {
        patterns: &["permission denied", "docker.sock"],
        hint: "your user may not use the Docker socket: `sudo usermod -aG docker $USER`, then log in again (members of the group are as good as root)",
    },
    KnownCause {
        patterns: &["permission denied", "docker daemon socket"],
        hint: "your user may not use the Docker socket: `sudo usermod -aG docker $USER`, then log in again (members of the group are as good as root)",
    },
    KnownCause {
        patterns: &["pool overlaps with other one"],
        hint: POOL,
    },
    KnownCause {
        patterns: &["invalid pool request"],
        hint: POOL,
    },
    KnownCause {
        patterns: &["could not find an available", "address pool"],
        hint: "the engine has no free range for another network: `docker network prune` removes unused ones",
    },
    KnownCause {
        patterns: &["port is already allocated"],
        hint: PORT,
    },
    KnownCause {
        patterns: &["bind: address already in use"],
        hint: PORT,
    },
    KnownCause {
        patterns: &["ports are not available"],
        hint: PORT,
    },
    KnownCause {
        patterns: &["too many open files"],
        hint: INOTIFY,
    },
    KnownCause {
        patterns: &["inotify", "no space left on device"],
        hint: INOTIFY,
    },
    KnownCause {
        patterns: &["inotify watch limit reached"],
        hint: INOTIFY,
    },
    KnownCause {
        patterns: &["no space left on device"],
        hint: DISK,
    },
    KnownCause {
        patterns: &["disk quota exceeded"],
        hint: DISK,
    },
    KnownCause {
        patterns: &["unable to apply caps"],
        hint: CAPABILITIES,
    },
    KnownCause {
        patterns: &["caps", "operation not permitted"],
        hint: CAPABILITIES,
    },
    KnownCause {
        patterns: &["x509", "expired or is not yet valid"],
        hint: CLOCK,
    },
    KnownCause {
        patterns: &["certificate", "notvalidyet"],
        hint: CLOCK,
    },
    KnownCause {
        patterns: &["certificate not valid yet"],
        hint: CLOCK,
    },
    KnownCause {
        patterns: &["x509", "signed by unknown authority"],
        hint: AUTHORITY,
    },
    KnownCause {
        patterns: &["unknownissuer"],
        hint: AUTHORITY,
    },
    KnownCause {
        patterns: &["failcgroupv1"],
        hint: CGROUP_V1,
    },
    KnownCause {
        patterns: &["kubelet", "cgroup v1"],
        hint: CGROUP_V1,
    },
    KnownCause {
        patterns: &["running with swap on is not supported"],
        hint: "kubelet refuses to run beside swap: let it (`failSwapOn: false`), or `sudo swapoff -a` on the engine's host",
    },
    KnownCause {
        patterns: &["toomanyrequests"],
        hint: "the registry limits pulls without an account: log in with `docker login`, or name a mirror",
    },
    KnownCause {
        patterns: &["exec format error"],
        hint: "the image or a binary is for another architecture than the engine's host has",
    },
    KnownCause {
        patterns: &["cannot allocate memory"],
        hint: "the engine's host is out of memory: stop other clusters (`local-cluster down`), or ask for fewer nodes",
    },
];

/// The hints for all known causes in a text, each once.
pub(super) fn hints(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let mut hints = Vec::new();
    for cause in KNOWN_CAUSES {
        let matches = cause.patterns.iter().all(|pattern| text.contains(pattern));
        if matches && !hints.contains(&cause.hint) && !is_weaker(cause.hint, &hints) {
            hints.push(cause.hint);
        }
    }
    hints
}

/// "no space left on device" is also what inotify's limits are told with: then the disk is not to blame.
fn is_weaker(hint: &str, others: &[&str]) -> bool {
    hint == DISK && others.contains(&INOTIFY)
}

#[cfg(test)]
mod tests;
