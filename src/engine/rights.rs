//! Which rights a node gets: found out by starting a throw-away container, not guessed.

use super::container::NodeContainer;
use super::error::absent_is_fine;
use super::{Engine, EngineError};
use bollard::models::HostConfig;
use bollard::query_parameters::RemoveContainerOptions;
use std::fmt;
use std::str::FromStr;

/// The rights that this engine can give a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// `--privileged` works.
    Privileged,
    /// The engine's own bounding set lacks something: all capabilities that it has, one by one.
    Capabilities(Vec<String>),
}

/// Every capability, in the kernel's order (include/uapi/linux/capability.h): the position is the bit.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl fmt::Display for Rights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileged => formatter.write_str("privileged"),
            Self::Capabilities(names) => formatter.write_str(&names.join(",")),
        }
    }
}

impl FromStr for Rights {
    type Err = String;

    /// Reads what `Display` wrote, into an image's label.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "privileged" {
            return Ok(Self::Privileged);
        }
        let names: Vec<String> = text.split(',').map(str::to_owned).collect();
        match names
            .iter()
            .find(|name| !CAPABILITIES.contains(&name.as_str()))
        {
            None => Ok(Self::Capabilities(names)),
            Some(unknown) => Err(format!("`{unknown}` is no capability")),
        }
    }
}

impl Rights {
    /// Whether nodes have this capability.
    pub fn has(&self, capability: &str) -> bool {
        match self {
            Self::Privileged => true,
            Self::Capabilities(names) => names.iter().any(|name| name == capability),
        }
    }

    /// Puts the rights into a container's settings.
    pub(super) fn apply(&self, host: &mut HostConfig) {
        match self {
            Self::Privileged => host.privileged = Some(true),
            Self::Capabilities(names) => {
                host.cap_drop = Some(vec!["ALL".to_owned()]);
                host.cap_add = Some(names.clone());
                host.device_cgroup_rules = Some(vec!["a *:* rwm".to_owned()]);
                // What `--security-opt systempaths=unconfined` stands for.
                host.masked_paths = Some(Vec::new());
                host.readonly_paths = Some(Vec::new());
            }
        }
        host.security_opt = Some(vec![
            "seccomp=unconfined".to_owned(),
            "apparmor=unconfined".to_owned(),
        ]);
    }
}

/// The capabilities that are not missing, by the bits of `/proc/self/status`.
fn from_mask(mask: u64, known: usize) -> Vec<String> {
    CAPABILITIES
        .iter()
        .take(known)
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// Docker before 23 does not know the three newest names (moby 42011).
const KNOWN_TO_OLD_DOCKER: usize = 38;

impl Engine {
    /// Finds the most rights that this engine can give a container of `image`.
    ///
    /// A privileged container that starts is the answer. Where it does not, each capability is tried alone, since the
    /// engine does not tell its bounding set.
    pub async fn probe_rights(&self, image: &str) -> Result<Rights, EngineError> {
        match self.try_rights(image, &Rights::Privileged).await {
            Ok(()) => return Ok(Rights::Privileged),
            Err(error) if lacks_rights(&error) => {}
            Err(error) => return Err(error),
        }
        let old = from_mask(u64::MAX, KNOWN_TO_OLD_DOCKER);
        let without_resource: Vec<String> = old
            .iter()
            .filter(|name| *name != "SYS_RESOURCE")
            .cloned()
            .collect();
        let mut all = from_mask(u64::MAX, CAPABILITIES.len());
        all.retain(|name| name != "SYS_RESOURCE");
        for wanted in [all, without_resource] {
            let rights = Rights::Capabilities(wanted);
            match self.try_rights(image, &rights).await {
                Ok(()) => return Ok(rights),
                Err(error) if lacks_rights(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut granted = Vec::new();
        for name in old {
            let alone = Rights::Capabilities(vec![name.clone()]);
            match self.try_rights(image, &alone).await {
                Ok(()) => granted.push(name),
                Err(error) if lacks_rights(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Rights::Capabilities(granted))
    }

    async fn try_rights(&self, image: &str, rights: &Rights) -> Result<(), EngineError> {
        let name = format!("local-cluster-rights-{}", std::process::id());
        let body = NodeContainer::throw_away(image, rights);
        let result = async {
            self.create(&name, body).await?;
            self.start(&name).await
        }
        .await;
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..RemoveContainerOptions::default()
        };
        let removed = self
            .docker
            .remove_container(&name, Some(options))
            .await
            .map_err(|source| EngineError::Call {
                action: format!("remove container {name}"),
                source,
            });
        result.and(absent_is_fine(removed))
    }
}

/// The engine's refusals that mean "fewer rights might work".
fn lacks_rights(error: &EngineError) -> bool {
    let text = error.message();
    [
        "apply caps",
        "operation not permitted",
        "unknown capability",
        "invalid capability",
        "Unknown capability",
        "CapAdd",
    ]
    .iter()
    .any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_back_from_a_label() {
        for rights in [
            Rights::Privileged,
            Rights::Capabilities(vec!["CHOWN".to_owned(), "BPF".to_owned()]),
        ] {
            assert!(rights.has("BPF"));
            assert_eq!(rights.has("SYS_RESOURCE"), rights == Rights::Privileged);
            assert_eq!(rights.to_string().parse(), Ok(rights));
        }
        assert!("CHOWN,EVERYTHING".parse::<Rights>().is_err());
    }

    #[test]
    fn capabilities_follow_the_kernels_bits() {
        assert_eq!(from_mask(0b101, 41), ["CHOWN", "DAC_READ_SEARCH"]);
        assert_eq!(CAPABILITIES[24], "SYS_RESOURCE");
        assert_eq!(CAPABILITIES[40], "CHECKPOINT_RESTORE");
    }
}
