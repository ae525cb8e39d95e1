//! Carries faults out, and mends them.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::fleet::{Fleet, Member, Role};
use super::plan::{Fault, FaultKind};
use crate::breakable_line::{BreakableLine, Condition};
use crate::process::send;

/// How long a fault waits for a process that another fault has in hand, or for a step's child.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Injects a fault, waits for its time and mends it. Returns what it hit; `None` if there was
/// nothing to hit. `Err` if a process did not end as it should.
///
/// # Errors
/// If a process that gets SIGTERM does not end, or not with success.
pub async fn inject(fleet: &Fleet, fault: Fault) -> Result<Option<String>, String> {
    let mut random = fastrand::Rng::with_seed(fault.seed);
    Ok(match fault.kind {
        FaultKind::WorkerKilled => kill(fleet, Role::Worker, fault, &mut random).await,
        FaultKind::ServerKilled => kill(fleet, Role::Server, fault, &mut random).await,
        FaultKind::WorkerStopped => stop(fleet, Role::Worker, fault, &mut random).await,
        FaultKind::ServerStopped => stop(fleet, Role::Server, fault, &mut random).await,
        FaultKind::WorkerTerminated => terminate(fleet, Role::Worker, fault, &mut random).await?,
        FaultKind::ServerTerminated => terminate(fleet, Role::Server, fault, &mut random).await?,
        FaultKind::ChildKilled => child(fleet, fault, &mut random, false).await,
        FaultKind::ChildStopped => child(fleet, fault, &mut random, true).await,
        FaultKind::RedisKilled => {
            let _redis = fleet.redis_in_hand.lock().await;
            fleet.redis().down();
            sleep(fault.lasts).await;
            fleet.redis().up().await;
            Some("redis".to_owned())
        }
        FaultKind::RedisFailedOver => {
            let _redis = fleet.redis_in_hand.lock().await;
            fleet.redis().fail_over().await;
            Some("redis".to_owned())
        }
        FaultKind::RedisEmptied => {
            let _redis = fleet.redis_in_hand.lock().await;
            Some(fleet.redis().command(&["FLUSHALL"]))
        }
        FaultKind::RedisFull => {
            let _redis = fleet.redis_in_hand.lock().await;
            fleet.redis().command(&["CONFIG", "SET", "maxmemory", "1"]);
            sleep(fault.lasts).await;
            Some(fleet.redis().command(&["CONFIG", "SET", "maxmemory", "0"]))
        }
        FaultKind::RedisCut => lines(fleet, fault, &mut random, |m| &m.to_redis, Condition::Cut).await,
        FaultKind::RedisSilent => lines(fleet, fault, &mut random, |m| &m.to_redis, Condition::Silent).await,
        FaultKind::S3Cut => lines(fleet, fault, &mut random, |m| &m.to_s3, Condition::Cut).await,
        FaultKind::S3Slow => {
            let slow = Condition::Slow(Duration::from_millis(random.u64(20..300)));
            lines(fleet, fault, &mut random, |m| &m.to_s3, slow).await
        }
        FaultKind::S3CutOff => {
            let cut = Condition::CutAfter(random.usize(100..60_000));
            lines(fleet, fault, &mut random, |m| &m.to_s3, cut).await
        }
        FaultKind::S3Failing => {
            fleet.s3().fail(true);
            sleep(fault.lasts).await;
            fleet.s3().fail(false);
            Some("all".to_owned())
        }
        FaultKind::DiskFull => {
            let worker = random.choice(fleet.of_role(Role::Worker));
            match (worker, &fleet.no_disks) {
                (Some(worker), None) => {
                    let filler = fleet.scratch(worker).join("filler");
                    fill(&filler);
                    sleep(fault.lasts).await;
                    let _ = std::fs::remove_file(&filler);
                    Some(worker.name.clone())
                }
                _ => None,
            }
        }
    })
}

/// Takes a member of a role that no other fault has in hand.
async fn take<'a, R>(
    fleet: &'a Fleet,
    role: Role,
    random: &mut fastrand::Rng,
    with: impl AsyncFnOnce(&'a Member, &mut Option<crate::process::Process>) -> R,
) -> Option<R> {
    let mut members = fleet.of_role(role);
    random.shuffle(&mut members);
    let deadline = tokio::time::Instant::now() + MAX_WAIT;
    while tokio::time::Instant::now() < deadline {
        for member in &members {
            if let Some(mut process) = member.try_take() {
                return Some(with(member, &mut process).await);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
}

async fn kill(fleet: &Fleet, role: Role, fault: Fault, random: &mut fastrand::Rng) -> Option<String> {
    take(fleet, role, random, async |member, process| {
        *process = None;
        sleep(fault.lasts).await;
        fleet.start(member, process);
        member.name.clone()
    })
    .await
}

async fn terminate(
    fleet: &Fleet,
    role: Role,
    fault: Fault,
    random: &mut fastrand::Rng,
) -> Result<Option<String>, String> {
    take(fleet, role, random, async |member, process| {
        let ended = fleet.terminate(member, process).await;
        sleep(fault.lasts).await;
        fleet.start(member, process);
        ended.map(|()| member.name.clone())
    })
    .await
    .transpose()
}

async fn stop(fleet: &Fleet, role: Role, fault: Fault, random: &mut fastrand::Rng) -> Option<String> {
    take(fleet, role, random, async |member, _process| {
        let stopped = member.processes();
        stopped.iter().for_each(|pid| send(*pid, libc::SIGSTOP));
        sleep(fault.lasts).await;
        stopped.iter().for_each(|pid| send(*pid, libc::SIGCONT));
        member.name.clone()
    })
    .await
}

async fn child(fleet: &Fleet, fault: Fault, random: &mut fastrand::Rng, only_stop: bool) -> Option<String> {
    let deadline = tokio::time::Instant::now() + MAX_WAIT;
    while tokio::time::Instant::now() < deadline {
        let children = fleet.workers().flat_map(|w| w.step_children().into_iter().map(|pid| (&w.name, pid)));
        let children: Vec<_> = children.collect();
        if let Some((worker, pid)) = random.choice(children) {
            if only_stop {
                send(pid, libc::SIGSTOP);
                sleep(fault.lasts).await;
                send(pid, libc::SIGCONT);
            } else {
                send(pid, libc::SIGKILL);
            }
            return Some(format!("a child of {worker}"));
        }
        sleep(Duration::from_millis(20)).await;
    }
    None
}

/// Breaks the lines of one process, or of all.
async fn lines(
    fleet: &Fleet,
    fault: Fault,
    random: &mut fastrand::Rng,
    line: impl Fn(&Member) -> &BreakableLine,
    condition: Condition,
) -> Option<String> {
    let all: Vec<&Member> = fleet.members().collect();
    let hit = if random.u32(0..3) == 0 { all } else { random.choice(all).into_iter().collect() };
    hit.iter().for_each(|member| line(member).set(condition));
    sleep(fault.lasts).await;
    hit.iter().for_each(|member| line(member).set(Condition::Open));
    let names: Vec<&str> = hit.iter().map(|member| member.name.as_str()).collect();
    Some(names.join(", "))
}

/// Writes a file until the disk is full.
fn fill(filler: &Path) {
    let Ok(mut file) = std::fs::File::create(filler) else { return };
    for size in [1 << 20, 4 << 10] {
        let bytes = vec![0; size];
        while file.write_all(&bytes).is_ok() {}
    }
}
