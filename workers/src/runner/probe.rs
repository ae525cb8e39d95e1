//! Attempts to leave the sandbox, made inside it: `doctor`, the worker's start and the tests see
//! them fail.

use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};

use chalkstream_pipeline::context::{StepContext, StepEvent};
use chalkstream_pipeline::source::read_full;
use chalkstream_pipeline::step::{SourceHandle, open_source};
use serde_json::{Value, json};

use super::protocol::Probe;
use super::sandbox::attempt;

/// Makes the attempt; an answer means that nothing stopped it.
pub fn run(probe: Probe, ctx: &StepContext) -> io::Result<Value> {
    match probe {
        Probe::Nothing => {}
        Probe::Socket => attempt::socket()?,
        Probe::Memory(size_bytes) => fill(size_bytes),
        Probe::SharedMemory(size_bytes) => attempt::shared_memory(size_bytes)?,
        Probe::File(size_bytes) => {
            let mut file = std::fs::File::create(ctx.out_dir.join("tmp/large"))?;
            file.seek(SeekFrom::Start(size_bytes))?;
            file.write_all(b"!")?;
        }
        Probe::Execute => {
            std::process::Command::new("/bin/true").status()?;
        }
        Probe::Connect => {
            // Nothing listens there: an open door answers ENOENT, a closed one EPERM.
            match UnixStream::connect(ctx.out_dir.join("nobody.sock")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map(drop)?,
            }
        }
        Probe::Datagram => {
            // Nothing listens there, and no socket has that number: open doors answer ENOENT and
            // EBADF.
            let sent = UnixDatagram::unbound()?.send_to(b"!", ctx.out_dir.join("nobody.sock"));
            let refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
            if let (Err(error), Err(other)) = (sent, attempt::send_message())
                && refused(&error)
                && refused(&other)
            {
                return Err(error);
            }
        }
        Probe::Silence => loop {
            std::thread::park();
        },
        Probe::Hush => {
            attempt::close_all_but_complaints()?;
            loop {
                std::thread::park();
            }
        }
        Probe::Chatter => {
            for done_ms in 0.. {
                ctx.report_progress(done_ms, u64::MAX);
                std::thread::park_timeout(std::time::Duration::from_millis(10));
            }
        }
        Probe::Crash => std::process::abort(),
        Probe::Outputs(count) => {
            for number in 1..=count {
                ctx.write_output(
                    &format!("video/v240/{number:05}.m4s"),
                    format!("segment {number}").as_bytes(),
                )
                .map_err(io::Error::other)?;
            }
        }
        Probe::Escape => {
            let size_bytes = std::fs::metadata("/etc/passwd")?.len();
            (ctx.emit)(StepEvent::Output { path: "video/../../../../../etc/passwd".into(), size_bytes });
        }
        Probe::Read => {
            let source = open_source(&SourceHandle::File).map_err(io::Error::other)?;
            let mut bytes = vec![0; usize::try_from(source.size_bytes()).unwrap_or(0)];
            let read = read_full(&*source, 0, &mut bytes)?;
            return Ok(json!({ "size_bytes": read }));
        }
    }
    Ok(json!({ "stopped": false }))
}

/// Takes memory and touches each page of it.
fn fill(size_bytes: u64) {
    const BLOCK_BYTES: u64 = 16 << 20;
    let blocks: Vec<Vec<u8>> =
        (0..size_bytes / BLOCK_BYTES).map(|_| std::hint::black_box(vec![1; BLOCK_BYTES as usize])).collect();
    std::hint::black_box(blocks);
}
