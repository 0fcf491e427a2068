//! CPU, memory and instructions of a process, and the median of runs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// One of the cores that a process may use.
#[derive(Clone, Copy)]
pub enum Core {
    First,
    Last,
}

impl Core {
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
        }
    }

    pub fn find(name: &str) -> Self {
        [Self::First, Self::Last].into_iter().find(|core| core.name() == name).unwrap()
    }

    /// Pins this thread, and those that it starts, to the core. Without it, figures of two processes differ by a tenth. Does
    /// nothing on other systems than Linux.
    pub fn pin(self) {
        #[cfg(target_os = "linux")]
        self.pin_on_linux();
    }

    #[cfg(target_os = "linux")]
    fn pin_on_linux(self) {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        use nix::unistd::Pid;

        let this = Pid::from_raw(0);
        let all = sched_getaffinity(this).unwrap();
        let mut cores = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap());
        let core = match self {
            Self::First => cores.next(),
            Self::Last => cores.next_back(),
        };
        let mut one = CpuSet::new();
        one.set(core.unwrap()).unwrap();
        sched_setaffinity(this, &one).unwrap();
    }
}

/// User and system time of this process so far.
pub fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_secs(value.tv_sec().try_into().unwrap())
            + Duration::from_micros(value.tv_usec().try_into().unwrap())
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// The peak memory of this process in KiB, if there is `/proc`. Not `ru_maxrss`: that includes the memory of the parent.
pub fn peak_memory() -> f64 {
    status("VmHWM:")
}

/// The memory of this process now, in KiB, if there is `/proc`.
pub fn memory() -> f64 {
    status("VmRSS:")
}

fn status(name: &str) -> f64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return f64::NAN };
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

pub fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this part of the values is, interpolated between two of them.
pub fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = part * (values.len() - 1) as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

pub fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The instructions that a program executes with these arguments.
pub fn instructions(program: &Path, args: &[String]) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(args)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("I refs:") || line.contains("I   refs:")).unwrap();
    let digits: String = line.rsplit(':').next().unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
