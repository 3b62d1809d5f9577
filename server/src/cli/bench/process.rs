//! What processes consume, as the kernel counts it.

use std::{fs, time::Duration};

use anyhow::{Context as _, anyhow};
use nix::{
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use serde::Serialize;

/// A process that is watched during a run.
///
/// CPU time comes from the process's CPU clock: nanoseconds, up to now, of all its threads, ended ones included. The
/// files under `/proc/PID` know only threads that still live and lag behind by a tick.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pid: u32,
    name: String,
    clock: ClockId,
}

/// CPU time that one process used while it was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CpuUse {
    pub(super) pid: u32,
    pub(super) name: String,
    /// CPU time for each request or connection, in microseconds.
    pub(super) microseconds_each: f64,
    /// CPU time as a part of the elapsed time: 1.0 is one busy core.
    pub(super) cores: f64,
}

impl Process {
    pub(super) fn find(pid: u32) -> anyhow::Result<Process> {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"))
            .with_context(|| format!("there is no process {pid}"))?
            .trim()
            .to_owned();
        let raw = i32::try_from(pid).with_context(|| format!("{pid} is not a process id"))?;
        let clock = clock_getcpuclockid(Pid::from_raw(raw))
            .with_context(|| format!("the CPU clock of process {pid} cannot be read"))?;
        Ok(Process { pid, name, clock })
    }

    pub(super) fn all(pids: &[u32]) -> anyhow::Result<Vec<Process>> {
        pids.iter().map(|pid| Process::find(*pid)).collect()
    }

    /// This process.
    pub(super) fn own() -> anyhow::Result<Process> {
        Process::find(std::process::id())
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// CPU time used since the process began.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let time = clock_gettime(self.clock).with_context(|| format!("process {} has ended", self.pid))?;
        Ok(Duration::from(time))
    }

    /// Resident memory in bytes.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))
            .with_context(|| format!("process {} has ended", self.pid))?;
        resident(&status).ok_or_else(|| anyhow!("the memory of process {} cannot be read", self.pid))
    }
}

/// The line `VmRSS:  1234 kB`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// CPU times of some processes at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    at: std::time::Instant,
    used: Vec<Duration>,
}

impl Reading {
    pub(super) fn take(processes: &[Process]) -> anyhow::Result<Reading> {
        let used = processes.iter().map(Process::cpu).collect::<Result<_, _>>()?;
        Ok(Reading { at: std::time::Instant::now(), used })
    }

    /// The time from `self` to `later`.
    pub(super) fn elapsed(&self, later: &Reading) -> Duration {
        later.at.saturating_duration_since(self.at)
    }

    /// What each process used from `self` to `later`, shared among `count` requests or connections.
    pub(super) fn until(&self, later: &Reading, processes: &[Process], count: u64) -> Vec<CpuUse> {
        let elapsed = self.elapsed(later).as_secs_f64();
        let used = self.used.iter().zip(&later.used);
        let rows = processes.iter().zip(used).map(|(process, (before, after))| {
            let used = after.saturating_sub(*before).as_secs_f64();
            CpuUse {
                pid: process.pid(),
                name: process.name().to_owned(),
                microseconds_each: if count == 0 { 0.0 } else { used * 1e6 / count as f64 },
                cores: if elapsed > 0.0 { used / elapsed } else { 0.0 },
            }
        });
        rows.collect()
    }
}
