//! The system calls a step's child may not make, as data, and the filters made of them.
//!
//! Decoders need files, memory, threads and time, and nothing else. An internet socket ends the
//! child at once (`SIGSYS`): no decoder has a reason to open one, so one that does is no longer
//! ours, and the signal is proof in the parent. Everything else is refused with `EPERM`, because
//! libraries probe for some of it and carry on without. `io_uring` (its requests pass no filter)
//! and `clone3` (its flags are behind a pointer, where a filter cannot look) answer `ENOSYS`, so
//! callers fall back to calls that are filtered.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// The answer of a filter that could not be built.
pub type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Refused whatever the arguments are.
const REFUSED: &[i64] = &[
    // A unix socket may be made but reaches no process: not the queue, not a container engine.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Nor does a datagram: a message carries an address behind a pointer, where a filter cannot
    // look. `sendto` has its own in an argument, see below.
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Programs of its own, and a process group its parent would not kill.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Limits.
    libc::SYS_setrlimit,
    // The kernel's wide doors.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
    // The file system's shape.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    // Who it is.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_capset,
];

/// Refused calls that only this processor's table has.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_symlink,
    libc::SYS_link,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// Calls that look as if this kernel did not have them.
const ABSENT: &[i64] =
    &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_clone3];

/// The filters of a child with process id `pid`, in the order in which they are put on.
pub fn filters(pid: u32) -> Result<Vec<BpfProgram>, Refused> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;

    let mut killed = BTreeMap::new();
    killed.insert(libc::SYS_socket, vec![rule(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)?]);

    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())).collect();
    // Threads are made by `clone` with CLONE_THREAD; without it, it is a fork.
    let thread = libc::CLONE_THREAD as u64;
    refused.insert(libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(thread), 0)?]);
    // A thread of its own may be signalled (that is how `abort` works), no other process.
    refused.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Ne, u64::from(pid))?]);
    // Reading a limit has no new value; pthreads do it.
    let new_limit = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    refused.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![new_limit])?]);
    // Without an address it is a `send` on what is connected already.
    let address = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    refused.insert(libc::SYS_sendto, vec![SeccompRule::new(vec![address])?]);
    // The child dies with its parent, and stays so.
    refused.insert(libc::SYS_prctl, vec![rule(0, SeccompCmpOp::Eq, libc::PR_SET_PDEATHSIG as u64)?]);

    let absent = ABSENT.iter().map(|call| (*call, Vec::new())).collect();

    let mut programs = vec![
        filter(refused, SeccompAction::Errno(libc::EPERM as u32), arch)?,
        filter(absent, SeccompAction::Errno(libc::ENOSYS as u32), arch)?,
        filter(killed, SeccompAction::KillProcess, arch)?,
    ];
    if cfg!(target_arch = "x86_64") {
        programs.push(no_x32());
    }
    Ok(programs)
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    on_match: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, Refused> {
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, on_match, arch)?.try_into()?)
}

/// A rule on the low half of one argument: the kernel looks at 32 bits of an `int`, so a filter
/// must too.
fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, Refused> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

/// x32 calls have the same architecture value but numbers of their own from 2^30 up, which no rule
/// above matches.
fn no_x32() -> BpfProgram {
    const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const X32_SYSCALL_BIT: u32 = 0x4000_0000;
    let op = |code, jt, jf, k| seccompiler::sock_filter { code, jt, jf, k };
    vec![
        op(LOAD_WORD, 0, 0, 0), // seccomp_data.nr
        op(JUMP_IF_AT_LEAST, 0, 1, X32_SYSCALL_BIT),
        op(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_filter_compiles_and_fits_the_kernel() {
        let programs = filters(4242).unwrap();
        assert!(programs.len() >= 3);
        for program in programs {
            assert!(!program.is_empty() && program.len() <= 4096, "BPF_MAXINSNS is 4096");
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut all: Vec<_> = REFUSED.iter().chain(REFUSED_HERE).chain(ABSENT).collect();
        let listed = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), listed);
    }
}
