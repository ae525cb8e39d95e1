//! Progress of long work: bars on a terminal, plain lines if the output is piped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use crate::ui::output;

/// Minimum time between two plain lines about one task.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The unit that a bar counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ProgressUnit {
    /// Bytes.
    Bytes,
    /// Media time, in ms.
    MediaMs,
}

/// Displays several tasks at once, each under its name.
pub struct ProgressDisplay {
    bars: Option<MultiProgress>,
    tasks: Mutex<BTreeMap<String, DisplayedTask>>,
}

struct DisplayedTask {
    bar: Option<ProgressBar>,
    unit: ProgressUnit,
    started: Instant,
    /// Done before the display started; left out of the speed.
    initial: u64,
    last_line: Instant,
}

impl ProgressDisplay {
    /// Draws bars on a terminal, and prints lines otherwise.
    pub fn new() -> Self {
        Self { bars: output::is_terminal().then(MultiProgress::new), tasks: Mutex::default() }
    }

    /// Updates the task `name`; `total` is 0 while unknown.
    pub fn update(&self, name: &str, unit: ProgressUnit, done: u64, total: u64) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let task = tasks.entry(name.to_owned()).or_insert_with(|| self.start(name, unit, done));
        if let Some(bar) = &task.bar {
            if bar.length() != Some(total) && total > 0 {
                bar.set_length(total);
                bar.set_style(bar_style(unit));
            }
            bar.set_position(done);
            bar.set_message(task.speed(done, total));
        } else if task.last_line.elapsed() >= LINE_INTERVAL && total > 0 {
            task.last_line = Instant::now();
            output::note(&format!("{name}: {}%, {}", done * 100 / total, task.speed(done, total)));
        }
    }

    fn start(&self, name: &str, unit: ProgressUnit, initial: u64) -> DisplayedTask {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_prefix(name.to_owned());
            bar.set_style(spinner_style());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if bar.is_none() {
            output::note(&format!("{name}: started"));
        }
        DisplayedTask { bar, unit, started: Instant::now(), initial, last_line: Instant::now() }
    }

    /// Removes the task `name` and prints its result. A task that was never displayed only gets the
    /// line.
    pub fn finish(&self, name: &str, result: &str) {
        let task = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let took = task.as_ref().map(|task| task.started.elapsed()).filter(|took| took.as_millis() >= 100);
        let took = took.map_or(String::new(), |took| format!(" after {:.1} s", took.as_secs_f64()));
        if let Some(bar) = task.and_then(|task| task.bar) {
            bar.finish_and_clear();
        }
        self.line(&format!("{name}: {result}{took}"));
    }

    /// Prints a line above the bars.
    pub fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => output::note(text),
        }
    }
}

impl DisplayedTask {
    fn speed(&self, done: u64, total: u64) -> String {
        let elapsed_s = self.started.elapsed().as_secs_f64();
        let done_since = done.saturating_sub(self.initial) as f64;
        if elapsed_s < 0.2 || done_since <= 0.0 {
            return "starting".into();
        }
        let rate = done_since / elapsed_s;
        let left = Duration::from_secs_f64((total.saturating_sub(done) as f64 / rate).min(1e7));
        let speed = match self.unit {
            ProgressUnit::Bytes => format!("{}/s", HumanBytes(rate as u64)),
            ProgressUnit::MediaMs => format!("{:.1}× real time", rate / 1000.0),
        };
        format!("{speed}, {} left", HumanDuration(left))
    }
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>12} {spinner}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar_style(unit: ProgressUnit) -> ProgressStyle {
    let template = match unit {
        ProgressUnit::Bytes => "{prefix:>12} [{wide_bar}] {bytes}/{total_bytes} {msg}",
        ProgressUnit::MediaMs => "{prefix:>12} [{wide_bar}] {percent:>3}% {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
