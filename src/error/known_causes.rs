//! Causes that have been seen before, and what helps.

/// A cause that is recognised by its text.
#[derive(Clone, Copy, Debug)]
pub struct KnownCause {
    /// Where it shows.
    pub place: Place,
    /// All of these must be there, in lower case.
    pub patterns: &'static [&'static str],
    /// What to do about it.
    pub hint: &'static str,
}

/// Where a known cause shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Only in the errors of the chain: within a node the same words mean something else.
    Errors,
    /// There, or in one line that a failed command or its unit wrote.
    Anywhere,
}

const fn errors(patterns: &'static [&'static str], hint: &'static str) -> KnownCause {
    KnownCause {
        place: Place::Errors,
        patterns,
        hint,
    }
}

const fn anywhere(patterns: &'static [&'static str], hint: &'static str) -> KnownCause {
    KnownCause {
        place: Place::Anywhere,
        patterns,
        hint,
    }
}

const ENGINE_DOWN: &str = "is Docker running, and is it the right one? `docker context ls` and `docker info` tell; `DOCKER_HOST` names another engine";
const INOTIFY: &str = "the host's limits for inotify are too low for several nodes: `sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288`";
const POOL: &str = "another network has these addresses: choose a free range with `--dind-subnet`, for instance `--dind-subnet 10.193.0.0/16`";
const PORT: &str =
    "another program has this port on the engine's host: stop it, or choose another port";
const CAPABILITIES: &str = "the engine may not give all capabilities (it runs in a container or without root itself): run it with more rights, or as root on the host itself";
const CLOCK: &str = "the clocks of this host and of the engine's host differ, or the certificates are of a cluster that is gone: set the clocks, then run `local-cluster up` again";
const AUTHORITY: &str = "someone on the way (a proxy) signs with a CA of its own: give its certificates to the tool and the nodes, as in `SSL_CERT_FILE=/path/to/ca.crt`";
const CGROUP_V1: &str = "the engine's host has cgroup v1, which kubelet refuses from Kubernetes 1.35 on: boot it with `systemd.unified_cgroup_hierarchy=1`, or choose an older Kubernetes version";
const DISK: &str = "the disk of the engine's host is full (or out of inodes): `docker system df` shows what takes the space, `local-cluster clean --images --cache` frees what this tool takes";
const OUTPUT: &str =
    "standard output goes to a disk of this machine that is full: make room, or send it elsewhere";

const SOCKET: &str = "your user may not use the Docker socket: `sudo usermod -aG docker $USER`, then log in again (members of the group are as good as root)";
const NO_POOL: &str =
    "the engine has no free range for another network: `docker network prune` removes unused ones";
const SWAP: &str = "kubelet refuses to run beside swap: `sudo swapoff -a` on the engine's host";
const PULL_LIMIT: &str =
    "the registry limits pulls without an account: log in with `docker login`, or name a mirror";
const ARCHITECTURE: &str =
    "the image or a binary is for another architecture than the engine's host has";
const MEMORY: &str = "the engine's host is out of memory: stop other clusters (`local-cluster down`), or ask for fewer nodes";

/// The table. Several may match; a hint is given once.
pub const KNOWN_CAUSES: &[KnownCause] = &[
    errors(&["docker", "connection refused"], ENGINE_DOWN),
    errors(&["cannot connect to the docker daemon"], ENGINE_DOWN),
    errors(&["docker.sock", "no such file or directory"], ENGINE_DOWN),
    errors(&["socket not found", "docker"], ENGINE_DOWN),
    errors(&["permission denied", "docker.sock"], SOCKET),
    errors(&["permission denied", "docker daemon socket"], SOCKET),
    errors(&["pool overlaps with other one"], POOL),
    errors(&["invalid pool request"], POOL),
    errors(&["could not find an available", "address pool"], NO_POOL),
    errors(&["port is already allocated"], PORT),
    errors(&["bind: address already in use"], PORT),
    errors(&["ports are not available"], PORT),
    anywhere(&["too many open files"], INOTIFY),
    anywhere(&["inotify", "no space left on device"], INOTIFY),
    anywhere(&["inotify watch limit reached"], INOTIFY),
    errors(&["to standard output", "no space left on device"], OUTPUT),
    anywhere(&["no space left on device"], DISK),
    anywhere(&["disk quota exceeded"], DISK),
    anywhere(&["unable to apply caps"], CAPABILITIES),
    anywhere(&["x509", "expired or is not yet valid"], CLOCK),
    anywhere(&["certificate", "notvalidyet"], CLOCK),
    anywhere(&["certificate not valid yet"], CLOCK),
    anywhere(&["x509", "signed by unknown authority"], AUTHORITY),
    anywhere(&["unknownissuer"], AUTHORITY),
    anywhere(&["not run on a host using cgroup v1"], CGROUP_V1),
    anywhere(&["cgroups v1", "failcgroupv1"], CGROUP_V1),
    anywhere(&["running with swap on is not supported"], SWAP),
    anywhere(&["toomanyrequests"], PULL_LIMIT),
    anywhere(&["exec format error"], ARCHITECTURE),
    anywhere(&["cannot allocate memory"], MEMORY),
];

/// The hints for all known causes, each once: `errors` are the sentences of the chain, `outputs` the lines of failed commands.
pub(super) fn hints(errors: &str, outputs: &[&str]) -> Vec<&'static str> {
    let errors = errors.to_lowercase();
    let outputs: Vec<String> = outputs
        .iter()
        .map(|line| line.to_lowercase())
        // kubeadm marks what it only warns of: that did not end it.
        .filter(|line| !line.contains("[warning"))
        .collect();
    let mut hints = Vec::new();
    for cause in KNOWN_CAUSES {
        let seen = cause.is_in(&errors)
            || (cause.place == Place::Anywhere && outputs.iter().any(|line| cause.is_in(line)));
        if seen && !hints.contains(&cause.hint) && !is_weaker(cause.hint, &hints) {
            hints.push(cause.hint);
        }
    }
    hints
}

impl KnownCause {
    fn is_in(&self, text: &str) -> bool {
        self.patterns.iter().all(|pattern| text.contains(pattern))
    }
}

/// "no space left on device" is also what inotify's limits are told with, and a full disk of the client's: then the engine's
/// is not to blame.
fn is_weaker(hint: &str, others: &[&str]) -> bool {
    hint == DISK
        && [INOTIFY, OUTPUT]
            .iter()
            .any(|stronger| others.contains(stronger))
}

#[cfg(test)]
mod tests;
