//! Long work shown: bars with speed and time left on a terminal, plain lines where the output is piped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use crate::output;

/// Time between two plain lines about one thing.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What the numbers of a bar count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Media time, in ms.
    Media,
}

/// Shows several things at once, each under its name.
pub struct Shown {
    bars: Option<MultiProgress>,
    items: Mutex<BTreeMap<String, Item>>,
}

struct Item {
    bar: Option<ProgressBar>,
    unit: Unit,
    begun: Instant,
    /// What was done when it began to be watched: not counted into the speed.
    from: u64,
    told: Instant,
}

impl Shown {
    /// Bars where someone watches, lines elsewhere.
    pub fn new() -> Self {
        Self { bars: output::watched().then(MultiProgress::new), items: Mutex::default() }
    }

    /// Says how far `name` is; `total` is 0 while unknown.
    pub fn at(&self, name: &str, unit: Unit, done: u64, total: u64) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let item = items.entry(name.to_owned()).or_insert_with(|| self.begin(name, unit, done));
        if let Some(bar) = &item.bar {
            if bar.length() != Some(total) && total > 0 {
                bar.set_length(total);
                bar.set_style(style(unit));
            }
            bar.set_position(done);
            bar.set_message(item.speed(done, total));
        } else if item.told.elapsed() >= LINE_EVERY && total > 0 {
            item.told = Instant::now();
            output::note(&format!("{name}: {}%, {}", done * 100 / total, item.speed(done, total)));
        }
    }

    fn begin(&self, name: &str, unit: Unit, from: u64) -> Item {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_prefix(name.to_owned());
            bar.set_style(waiting());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if bar.is_none() {
            output::note(&format!("{name}: started"));
        }
        Item { bar, unit, begun: Instant::now(), from, told: Instant::now() }
    }

    /// Ends `name` with a word or two. One that was never shown is only told.
    pub fn end(&self, name: &str, how: &str) {
        let item = self.items.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let took = item.as_ref().map(|item| item.begun.elapsed()).filter(|took| took.as_millis() >= 100);
        let took = took.map_or(String::new(), |took| format!(" after {:.1} s", took.as_secs_f64()));
        if let Some(bar) = item.and_then(|item| item.bar) {
            bar.finish_and_clear();
        }
        self.line(&format!("{name}: {how}{took}"));
    }

    /// A line above the bars.
    pub fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => output::note(text),
        }
    }
}

impl Item {
    fn speed(&self, done: u64, total: u64) -> String {
        let passed = self.begun.elapsed().as_secs_f64();
        let done_since = done.saturating_sub(self.from) as f64;
        if passed < 0.2 || done_since <= 0.0 {
            return "starting".into();
        }
        let rate = done_since / passed;
        let left = Duration::from_secs_f64((total.saturating_sub(done) as f64 / rate).min(1e7));
        let speed = match self.unit {
            Unit::Bytes => format!("{}/s", HumanBytes(rate as u64)),
            Unit::Media => format!("{:.1}× real time", rate / 1000.0),
        };
        format!("{speed}, {} left", HumanDuration(left))
    }
}

fn waiting() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>12} {spinner}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn style(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => "{prefix:>12} [{wide_bar}] {bytes}/{total_bytes} {msg}",
        Unit::Media => "{prefix:>12} [{wide_bar}] {percent:>3}% {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
