//! What can be read of the engine's host where it is this one.

use crate::cluster::overlap::Taken;
use ipnetwork::Ipv4Network;
use std::net::Ipv4Addr;

/// Limits of a host; what cannot be read is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `fs.inotify.max_user_instances`: for all containers together.
    pub inotify_instances: Option<u64>,
    /// Free disk below the engine's data root, in bytes.
    pub disk_free: Option<u64>,
    /// Memory that is to be had without swapping, in bytes.
    pub memory_available: Option<u64>,
}

/// Reads this host's limits.
pub fn read(data_root: &str) -> Host {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    let disk = rustix::fs::statvfs(data_root).ok();
    Host {
        inotify_instances: number("/proc/sys/fs/inotify/max_user_instances"),
        disk_free: disk.map(|disk| disk.f_bavail * disk.f_frsize),
        memory_available: std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| memory_available(&text)),
    }
}

fn memory_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// This host's routes, as ranges that a cluster must keep clear of. Those of Docker's bridges are told by the engine.
pub fn routes() -> Vec<Taken> {
    std::fs::read_to_string("/proc/net/route")
        .map(|text| parse_routes(&text))
        .unwrap_or_default()
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, addresses in hexadecimal, lowest byte first.
fn parse_routes(text: &str) -> Vec<Taken> {
    let address = |hex: &str| {
        u32::from_str_radix(hex, 16)
            .ok()
            .map(|bits| Ipv4Addr::from(bits.swap_bytes()))
    };
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (interface, destination, mask) = (fields.first()?, fields.get(1)?, fields.get(7)?);
            if interface.starts_with("br-") || *interface == "docker0" {
                return None;
            }
            let subnet = Ipv4Network::with_netmask(address(destination)?, address(mask)?).ok()?;
            Some(Taken {
                what: format!("a route of this host by {interface}"),
                subnet,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_the_kernel_writes_them() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    tun0\t0000C00A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                    br-1\t0000120A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\nbroken\n";
        let subnets: Vec<String> = parse_routes(text)
            .iter()
            .map(|taken| taken.subnet.to_string())
            .collect();
        assert_eq!(subnets, ["0.0.0.0/0", "10.192.0.0/16"]);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(
            memory_available("MemTotal: 9 kB\nMemAvailable:    2 kB\n"),
            Some(2048)
        );
        assert_eq!(memory_available(""), None);
    }
}

#[cfg(test)]
mod properties;
