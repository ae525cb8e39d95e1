//! The scripts, each behind the part they share.

use std::sync::LazyLock;

use crate::redis_connection::LuaScript;

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<LuaScript> = LazyLock::new(|| {
            LuaScript::new(concat!(include_str!("lua/common.lua"), "\n", include_str!($file)))
        });)*
    };
}

scripts! {
    SUBMIT = "lua/submit.lua";
    LEASE = "lua/lease.lua";
    HEARTBEAT = "lua/heartbeat.lua";
    NOTE = "lua/note.lua";
    COMPLETE = "lua/complete.lua";
    FAIL = "lua/fail.lua";
    RELEASE = "lua/release.lua";
    CANCEL = "lua/cancel.lua";
    RETRY = "lua/retry.lua";
    SWEEP = "lua/sweep.lua";
    JOBS = "lua/jobs.lua";
    ANNOUNCE = "lua/announce.lua";
    LEAVE = "lua/leave.lua";
    WORKERS = "lua/workers.lua";
    FORGET = "lua/forget.lua";
    STATS = "lua/stats.lua";
    UNCLAIM = "lua/unclaim.lua";
}
