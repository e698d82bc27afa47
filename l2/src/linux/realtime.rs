//! Realtime scheduling and locked memory, for a thread that may not be late.

use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};

use super::sys;

/// Schedules the calling thread by SCHED_RR. Threads and processes it starts are scheduled normally.
///
/// # Errors
/// The kernel's: missing CAP_SYS_NICE, or no realtime budget in the cgroup.
pub fn schedule(priority: u8) -> io::Result<()> {
    sys::schedule_round_robin(priority.into())
}

/// Sets the nice level of the calling thread, from -20 (most favoured) to 19. Threads and processes it
/// starts have it, too.
///
/// # Errors
/// The kernel's when the level falls: missing CAP_SYS_NICE and a low RLIMIT_NICE.
pub fn nice(level: i8) -> io::Result<()> {
    sys::set_nice(level.into())
}

/// Ends the process when a realtime thread computes for so long without a pause: it would starve the
/// machine.
///
/// # Errors
/// The kernel's.
pub fn limit_run(micros: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_RTTIME, micros, micros)?)
}

/// Keeps the process's memory out of swap, what it allocates later included.
///
/// # Errors
/// The kernel's: missing CAP_IPC_LOCK and a low RLIMIT_MEMLOCK.
pub fn lock_memory() -> io::Result<()> {
    // Pages are locked as they are used: stacks reserve far more than they touch.
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    Ok(mlockall(
        MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault,
    )?)
}
