//! What this machine has: cores, memory and disk, with the limits of its container.

use std::path::{Path, PathBuf};

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All that this process and its children may ever have.
    pub total_bytes: u64,
    /// What is free now, without pages that the kernel can drop.
    pub available_bytes: u64,
}

/// Number of cores that this process may use: those of the machine, or of its container.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory of the machine, or of the control group with the least.
pub fn memory() -> Memory {
    memory_below(Path::new("/"))
}

/// Free space of the file system that holds a folder, in bytes; `None` if the system does not say.
pub fn free_disk_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

fn memory_below(root: &Path) -> Memory {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let meminfo = read(root.join("proc/meminfo"));
    let of_machine = |name: &str| field(&meminfo, name).map_or(u64::MAX, |kib| kib.saturating_mul(1024));
    let mut memory =
        Memory { total_bytes: of_machine("MemTotal:"), available_bytes: of_machine("MemAvailable:") };
    for line in read(root.join("proc/self/cgroup")).lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let files = match controllers {
            "" => &UNIFIED,
            _ if controllers.split(',').any(|name| name == "memory") => &LEGACY,
            _ => continue,
        };
        // A container may see its own group as the root, whatever the path says.
        let group = Path::new(path.trim_start_matches('/'));
        for ancestor in group.ancestors() {
            if let Some(group) = files.read(&root.join(files.mount).join(ancestor)) {
                memory.total_bytes = memory.total_bytes.min(group.total_bytes);
                memory.available_bytes = memory.available_bytes.min(group.available_bytes);
            }
        }
    }
    memory
}

/// Names of a control group's files in one of the kernel's two versions.
struct GroupFiles {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// Field of `memory.stat`: pages of files that the kernel drops first.
    droppable: &'static str,
}

const UNIFIED: GroupFiles = GroupFiles {
    mount: "sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    droppable: "inactive_file",
};
const LEGACY: GroupFiles = GroupFiles {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    droppable: "total_inactive_file",
};

impl GroupFiles {
    /// Memory of a group; `None` if it has no limit.
    fn read(&self, group: &Path) -> Option<Memory> {
        let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
        let limit: u64 = read(self.limit)?.trim().parse().ok()?;
        let used: u64 = read(self.used)?.trim().parse().ok()?;
        let droppable = field(&read("memory.stat").unwrap_or_default(), self.droppable).unwrap_or(0);
        let available_bytes = limit.saturating_sub(used.saturating_sub(droppable));
        Some(Memory { total_bytes: limit, available_bytes })
    }
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A file system with these files.
    fn machine(files: &[(&str, &str)]) -> Memory {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal:  32768000 kB\nMemFree: 1 kB\nMemAvailable: 16384000 kB\n");
        for (path, text) in [meminfo].iter().chain(files) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        memory_below(root.path())
    }

    #[test]
    fn a_machine_without_limits_has_its_own_memory() {
        let own = Memory { total_bytes: 32_000 * MIB, available_bytes: 16_000 * MIB };
        assert_eq!(machine(&[]), own);
        let unlimited = [
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/memory.current", "5\n"),
        ];
        assert_eq!(machine(&unlimited), own);
    }

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let limited = machine(&[
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/pod/memory.max", "6442450944\n"),
            ("sys/fs/cgroup/pod/memory.current", "1073741824\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 536870912\n"),
            ("sys/fs/cgroup/pod/container/memory.max", "8589934592\n"),
            ("sys/fs/cgroup/pod/container/memory.current", "0\n"),
        ]);
        assert_eq!(limited, Memory { total_bytes: 6_144 * MIB, available_bytes: 5_632 * MIB });
    }

    #[test]
    fn a_container_of_either_kernel_version_is_limited() {
        let inside = machine(&[
            ("proc/self/cgroup", "0::/../unseen\n"),
            ("sys/fs/cgroup/memory.max", "6442450944\n"),
            ("sys/fs/cgroup/memory.current", "0\n"),
        ]);
        assert_eq!(inside.total_bytes, 6_144 * MIB);
        let old = machine(&[
            ("proc/self/cgroup", "9:name=systemd:/\n4:memory:/docker/5f\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "6442450944\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1073741824\n"),
        ]);
        assert_eq!(old, Memory { total_bytes: 6_144 * MIB, available_bytes: 5_120 * MIB });
    }

    #[test]
    fn this_machine_says_what_it_has() {
        let memory = memory();
        assert!(memory.total_bytes > 100 * MIB && memory.total_bytes < u64::MAX);
        assert!(memory.available_bytes <= memory.total_bytes);
        assert!(free_disk_bytes(Path::new("/")).is_some());
        assert_eq!(free_disk_bytes(Path::new("/no such folder")), None);
    }
}
