//! A child's own confinement, before it touches its input. Nothing here can be undone by the
//! child.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use super::protocol::ChildLimits;
use super::seccomp;

/// How far work in the background steps back: about a tenth of what others get.
const BACKGROUND: i32 = 10;

/// Sets the resource limits and puts the system call filters on, for all threads from here on.
pub fn enter(limits: &ChildLimits) -> Result<(), seccomp::Refused> {
    set_limit(libc::RLIMIT_CORE, 0)?;
    set_limit(libc::RLIMIT_FSIZE, limits.file_bytes)?;
    set_limit(libc::RLIMIT_NOFILE, limits.open_files)?;
    set_limit(libc::RLIMIT_DATA, limits.memory_bytes)?;
    if limits.background {
        // SAFETY: takes no pointers. Where it is refused, the work is done all the same.
        unsafe { libc::nice(BACKGROUND) };
    }
    match put_filters_on() {
        Err(error) if !limits.allow_unsandboxed => Err(error),
        _ => Ok(()),
    }
}

fn put_filters_on() -> Result<(), seccomp::Refused> {
    for program in seccomp::filters(std::process::id())? {
        seccompiler::apply_filter_all_threads(&program)?;
    }
    Ok(())
}

/// Lowers both the soft and the hard limit, never raising one that is lower already.
fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, writable rlimit for the length of the call.
    if unsafe { libc::getrlimit(resource, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_max = limit.rlim_max.min(value);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit for the length of the call.
    if unsafe { libc::setrlimit(resource, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes standard output for events alone: a copy of it is returned, and descriptor 1 becomes
/// standard error, so that a library that prints cannot break the protocol.
pub fn take_stdout() -> io::Result<File> {
    // SAFETY: descriptor 1 is open (the parent made it), and the copy has no other owner.
    let events = unsafe {
        let copy = libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 10);
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from_raw_fd(copy)
    };
    // SAFETY: both descriptors are open; dup2 only replaces what number 1 means.
    if unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) } < 0 {
        return Err(io::Error::last_os_error());
    }
    debug_assert!(events.as_raw_fd() >= 10, "clear of the inherited source, descriptor 3");
    Ok(events)
}

/// The attempts of [`super::protocol::Probe`] that only a raw system call can make.
pub mod attempt {
    use std::io;

    /// Opens an internet socket.
    pub fn socket() -> io::Result<()> {
        // SAFETY: takes no pointers. The descriptor is leaked on purpose: the process ends next.
        match unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) } {
            descriptor if descriptor < 0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Sends a message on a socket that does not exist.
    pub fn send_message() -> io::Result<()> {
        // SAFETY: an all-zero msghdr names no buffer and no address; the call only reads it.
        let sent = unsafe {
            let message: libc::msghdr = std::mem::zeroed();
            libc::sendmsg(-1, &message, 0)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Closes every descriptor but the standard ones: to the parent, its events have ended.
    pub fn close_all_but_complaints() -> io::Result<()> {
        // SAFETY: takes no pointers. Whatever still holds one of these descriptors is never used
        // again: the caller stays where it is until the process ends.
        let rc = unsafe { libc::syscall(libc::SYS_close_range, libc::STDERR_FILENO + 1, u32::MAX, 0) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Maps and touches shared memory.
    pub fn shared_memory(size_bytes: u64) -> io::Result<()> {
        let size = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        // SAFETY: a fresh anonymous mapping is asked for; no existing memory is touched.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        for offset in (0..size).step_by(4096) {
            // SAFETY: offset < size, inside the mapping made above, which is never unmapped.
            unsafe { start.cast::<u8>().add(offset).write_volatile(1) };
        }
        Ok(())
    }
}
