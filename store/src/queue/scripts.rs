//! The scripts, each behind the part they share.
//!
//! A Redis that is out of memory still runs those that only go on with what it holds: a worker
//! whose heartbeat or result is refused would lose its step. It takes nothing new.

use std::sync::LazyLock;

use crate::redis_connection::LuaScript;

macro_rules! scripts {
    ($flags:literal, $($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<LuaScript> = LazyLock::new(|| {
            LuaScript::new(concat!("#!lua", $flags, "\n", include_str!("lua/common.lua"), "\n", include_str!($file)))
        });)*
    };
}

scripts! {
    "",
    SUBMIT = "lua/submit.lua";
    RETRY = "lua/retry.lua";
}

scripts! {
    " flags=allow-oom",
    LEASE = "lua/lease.lua";
    HEARTBEAT = "lua/heartbeat.lua";
    NOTE = "lua/note.lua";
    COMPLETE = "lua/complete.lua";
    FAIL = "lua/fail.lua";
    RELEASE = "lua/release.lua";
    CANCEL = "lua/cancel.lua";
    SWEEP = "lua/sweep.lua";
    HEAL = "lua/heal.lua";
    CATCH_UP = "lua/catch_up.lua";
    ANNOUNCE = "lua/announce.lua";
    LEAVE = "lua/leave.lua";
    FORGET = "lua/forget.lua";
    STATS = "lua/stats.lua";
    UNCLAIM = "lua/unclaim.lua";
}

scripts! {
    " flags=no-writes",
    JOBS = "lua/jobs.lua";
    WORKERS = "lua/workers.lua";
}
