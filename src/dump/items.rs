//! What is looked at in each node. PURE: lists, with how long each look may take.
//!
//! None of it changes anything, and each is ended in the node itself when its time is over: what hangs there would outlive
//! the program. What asks the same server is in one batch, one after another: if it hangs once, the rest is not tried.

use super::frames::FUNCTIONS;
use crate::cluster::Role;
use crate::error::shell_quote;
use std::fmt::Write as _;

/// How long all batches together may take in a node, in seconds.
pub const LIMIT: u64 = 20;

/// A command in a node, whose output becomes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The file, below the node's directory.
    pub path: &'static str,
    /// The command.
    command: Vec<&'static str>,
}

/// Commands that are run one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The commands.
    pub items: Vec<Item>,
    /// How long each may take, in seconds.
    pub limit: u64,
    /// Where one hangs, the rest would hang as well.
    stops: bool,
    /// What is run before them, in the script's own words.
    before: &'static str,
}

fn item(path: &'static str, command: &[&'static str]) -> Item {
    Item {
        path,
        command: command.to_vec(),
    }
}

fn script(path: &'static str, script: &'static str) -> Item {
    item(path, &["sh", "-c", script])
}

impl Batch {
    fn new(items: impl IntoIterator<Item = Item>) -> Self {
        Self {
            items: items.into_iter().collect(),
            limit: 4,
            stops: false,
            before: "",
        }
    }

    /// The command that runs them all, with this boundary between their outputs.
    pub fn command(&self, boundary: &str) -> Vec<String> {
        let stop = if self.stops { "stop" } else { "''" };
        let mut text = format!(
            "boundary={boundary} limit={} stop={stop}\n{FUNCTIONS}{}",
            self.limit, self.before
        );
        for Item { path, command } in &self.items {
            let words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "run {path} {}", shell_quote(&words));
        }
        let limit = LIMIT.to_string();
        ["timeout", "-k", "1", &limit, "sh", "-c", &text]
            .map(str::to_owned)
            .to_vec()
    }
}

/// What is looked at in a node.
pub fn of_node(role: Role) -> Vec<Batch> {
    let mut health = Batch::new([item(
        "kubelet/healthz.txt",
        &[
            "curl",
            "-sS",
            "-m",
            "2",
            "http://127.0.0.1:10248/healthz?verbose",
        ],
    )]);
    if role == Role::Master {
        health.items.extend([
            item("api-server/livez.txt", &["curl", "-skS", "-m", "2", "https://127.0.0.1:6443/livez?verbose"]),
            item("api-server/readyz.txt", &["curl", "-skS", "-m", "2", "https://127.0.0.1:6443/readyz?verbose"]),
            script(
                "etcd/health.txt",
                "curl -sS -m 2 http://127.0.0.1:2381/health && echo && \
                 curl -sS -m 2 http://127.0.0.1:2381/metrics | grep -E '^etcd_(server|disk|mvcc_db|cluster)|^process_'",
            ),
        ]);
    }
    vec![kernel(), systemd(), containerd(), health, journals()]
}

/// What the kernel and files tell, and no server is asked for.
fn kernel() -> Batch {
    Batch::new([
        // Their states tell what is stopped (T) and what waits for a disk (D). By `cat`, as some end while they are looked
        // at, which would be the end of `awk`.
        script(
            "processes.txt",
            "cat /proc/[0-9]*/status 2>/dev/null | awk 'function out() { if (pid) printf \"%7s %7s %-14s %10s %5s %s\\n\", pid, parent, state, memory, threads, name } \
             BEGIN { printf \"%7s %7s %-14s %10s %5s %s\\n\", \"PID\", \"PPID\", \"STATE\", \"RSS kB\", \"THR\", \"NAME\" } \
             /^Name:/ { out(); name = $2; pid = memory = \"\" } /^State:/ { state = $2 $3 } /^Pid:/ { pid = $2 } \
             /^PPid:/ { parent = $2 } /^VmRSS:/ { memory = $2 } /^Threads:/ { threads = $2 } END { out() }'",
        ),
        script(
            "kernel.txt",
            "uname -a; cat /proc/cmdline /proc/uptime /proc/loadavg",
        ),
        script(
            "memory.txt",
            "cat /proc/meminfo; head /proc/pressure/* 2>/dev/null; \
             cd /sys/fs/cgroup; grep -H . memory/memory.usage_in_bytes memory/memory.limit_in_bytes memory/memory.failcnt \
             memory/memory.stat memory.current memory.max memory.events memory.stat 2>/dev/null; true",
        ),
        script("disk.txt", "df -hT; echo; df -hi"),
        item("mounts.txt", &["cat", "/proc/self/mountinfo"]),
        script(
            "cgroups/controllers.txt",
            "cat /proc/cgroups /proc/self/cgroup; grep cgroup /proc/mounts",
        ),
        script("network/addresses.txt", "ip -d -s addr"),
        script(
            "network/routes.txt",
            "for f in -4 -6; do ip $f rule; ip $f route show table all; done",
        ),
        script(
            "network/neighbours.txt",
            "ip neigh; bridge link; bridge fdb",
        ),
        script("network/sockets.txt", "ss -tuanp"),
        script(
            "network/iptables.txt",
            "iptables-save -c; ip6tables-save -c",
        ),
        item("network/nft.txt", &["nft", "list", "ruleset"]),
        script("network/ipset.txt", "ipset list"),
        script(
            "network/conntrack.txt",
            "conntrack -C; conntrack -S; conntrack -L 2>/dev/null | head -n 3000",
        ),
        script(
            "network/names.txt",
            "tail -n +1 /etc/hosts /etc/resolv.conf /etc/local-cluster/resolv.conf",
        ),
        script(
            "network/sysctls.txt",
            "grep -r . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /proc/sys/net/bridge /proc/sys/fs/inotify 2>/dev/null; true",
        ),
        script(
            "phases.txt",
            "ls -l --time-style=full-iso /data/local-cluster/done",
        ),
        script(
            "files.txt",
            "ls -lR /data/local-cluster /etc/kubernetes /etc/cni /var/lib/kubelet/pki /usr/lib/cni",
        ),
        item(
            "containerd/config.toml",
            &["cat", "/etc/containerd/config.toml"],
        ),
        script(
            "containerd/leases.txt",
            "ls -lR /run/cni /run/local-cluster /var/lib/cni 2>/dev/null; true",
        ),
        script(
            "versions.txt",
            "kubelet --version; kubeadm version -o short; containerd --version; crun --version; iptables --version; \
             nft --version; systemctl --version | head -n 1; . /etc/os-release; echo \"$PRETTY_NAME\"",
        ),
    ])
}

fn systemd() -> Batch {
    Batch {
        stops: true,
        ..Batch::new([
            item(
                "units.txt",
                &[
                    "systemctl",
                    "list-units",
                    "--all",
                    "--full",
                    "--plain",
                    "--no-pager",
                ],
            ),
            script(
                "jobs.txt",
                "systemctl list-jobs --no-pager; systemctl list-timers --all --no-pager",
            ),
            // Units that do not run are status 3, and no failure of the question.
            script(
                "units-status.txt",
                "systemctl status --full --no-pager --lines=0 '*.service' || [ $? -eq 3 ]",
            ),
            item(
                "cgroups/tree.txt",
                &["systemd-cgls", "--full", "--no-pager"],
            ),
        ])
    }
}

fn containerd() -> Batch {
    Batch {
        stops: true,
        ..Batch::new([
            item("containerd/version.txt", &["ctr", "version"]),
            item(
                "containerd/containers.txt",
                &["ctr", "-n", "k8s.io", "containers", "ls"],
            ),
            item(
                "containerd/tasks.txt",
                &["ctr", "-n", "k8s.io", "tasks", "ls"],
            ),
            item(
                "containerd/images.txt",
                &["ctr", "-n", "k8s.io", "images", "ls"],
            ),
            item("containerd/plugins.txt", &["ctr", "plugins", "ls"]),
        ])
    }
}

/// The journal of each unit that has written into it, and all of it in its order. Of much the newest is taken.
fn journals() -> Batch {
    Batch {
        limit: 8,
        before: "for unit in $(timeout -k 1 4 journalctl --no-pager --quiet -F _SYSTEMD_UNIT); do\n  \
                 run \"$unit\" journalctl --no-pager --utc -o short-iso-precise -n 200000 -u \"$unit\"\ndone\n",
        ..Batch::new([item(
            "journal/all.log",
            &[
                "journalctl",
                "--no-pager",
                "--utc",
                "-o",
                "short-iso-precise",
                "-n",
                "200000",
            ],
        )])
    }
}

/// The file for the output that has this name: of a look, or of a unit's journal.
pub fn path(name: &str) -> String {
    if name.contains('/') || end_of(name) == "txt" {
        return name.to_owned();
    }
    format!(
        "journal/{}.log",
        super::name::part(name.trim_end_matches(".service"))
    )
}

/// What is taken from a node's file system, which needs no node that runs: where it is, and the directory of the dump that
/// it goes to.
pub const FILES: &[(&str, &str)] = &[
    ("/data/local-cluster", "local-cluster"),
    ("/data/etc", "etc"),
    ("/data/var/lib/kubelet/config.yaml", "kubelet"),
    ("/data/var/lib/kubelet/kubeadm-flags.env", "kubelet"),
    ("/data/var/log/pods", "pods"),
];

/// What follows the last point of a name.
fn end_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, end)| end)
}

/// Whether a file of a node is of those that are nothing but a secret, or no text.
pub fn is_left_out(path: &str) -> bool {
    match end_of(path) {
        "key" | "gz" => true,
        "pem" => path.contains("/pki/"),
        _ => false,
    }
}

/// What a file of a node is called, by its path within `/data/var/log/pods`: `NAMESPACE_POD_UID/CONTAINER/NUMBER.log`.
/// The number counts the container's starts.
pub fn pod_log(path: &str) -> Option<String> {
    let mut parts = path.split('/');
    let (pod, container, file, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next())
    else {
        return None;
    };
    let mut pod = pod.splitn(3, '_');
    let (namespace, name, _uid) = (pod.next()?, pod.next()?, pod.next()?);
    let parts = [namespace, name, container, file].map(super::name::part);
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_look_has_a_name_of_its_own_and_an_end() {
        for role in [Role::Master, Role::Worker] {
            let batches = of_node(role);
            let items: Vec<&Item> = batches.iter().flat_map(|batch| &batch.items).collect();
            let paths: BTreeSet<&str> = items.iter().map(|item| item.path).collect();
            assert_eq!(paths.len(), items.len());
            for item in &items {
                assert_eq!(super::super::name::fault(item.path), None, "{item:?}");
                assert_eq!(path(item.path), item.path);
            }
            for batch in &batches {
                let command = batch.command("b0");
                assert_eq!(command[..3], ["timeout", "-k", "1"]);
                // The shell can read it.
                let checked = std::process::Command::new("sh")
                    .args(["-n", "-c", &command[6]])
                    .status()
                    .unwrap();
                assert!(checked.success(), "{}", command[6]);
            }
        }
    }

    #[test]
    fn journals_are_named_for_their_units() {
        assert_eq!(path("kubelet.service"), "journal/kubelet.log");
        assert_eq!(path("init.scope"), "journal/init.scope.log");
        assert_eq!(
            path("local-cluster-phase@join.service"),
            "journal/local-cluster-phase@join.log"
        );
    }

    #[test]
    fn logs_of_pods_are_named_for_people() {
        for (path, wanted) in [
            (
                "kube-system_coredns-7d_0b1c/coredns/0.log",
                Some("kube-system/coredns-7d/coredns/0.log"),
            ),
            (
                "a_b_c/d/1.log.20260101-000000",
                Some("a/b/d/1.log.20260101-000000"),
            ),
            ("a_b/d/1.log", None),
            ("a_b_c/1.log", None),
            ("a_b_c/../../1.log", None),
            (".._.._c/../1.log", Some("-../-../-../1.log")),
            ("", None),
        ] {
            assert_eq!(pod_log(path).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn keys_stay_where_they_are() {
        for path in [
            "kubernetes/pki/ca.key",
            "kubernetes/pki/etcd/peer.key",
            "x/pki/kubelet-client-current.pem",
            "a/0.log.gz",
        ] {
            assert!(is_left_out(path), "{path}");
        }
        for path in [
            "kubernetes/pki/ca.crt",
            "kubernetes/admin.conf",
            "cni/net.d/10-local-cluster.conflist",
        ] {
            assert!(!is_left_out(path), "{path}");
        }
    }
}
