//! Progress: a moving line per machine on a terminal, a plain line per finished stage elsewhere.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Ui, seconds};

/// Progress of one stage over several machines.
pub struct Progress {
    ui: Ui,
    title: &'static str,
    begun: Instant,
    bars: MultiProgress,
    lines: Mutex<BTreeMap<IpAddr, ProgressBar>>,
}

impl Progress {
    /// Begins a stage.
    pub fn begin(ui: Ui, title: &'static str) -> Self {
        if !ui.animate {
            ui.note(title);
        }
        let begun = Instant::now();
        let bars = MultiProgress::new();
        if ui.animate {
            bars.println(title).ok();
        }
        Self {
            ui,
            title,
            begun,
            bars,
            lines: Mutex::new(BTreeMap::new()),
        }
    }

    /// A machine begins its step number `index` of `count`.
    pub fn step(&self, machine: IpAddr, name: &str, index: usize, count: usize, title: &str) {
        if !self.ui.animate {
            return;
        }
        let Ok(mut lines) = self.lines.lock() else {
            return;
        };
        let line = lines.entry(machine).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new(count as u64));
            let style =
                ProgressStyle::with_template("  {prefix:16} {bar:20} {elapsed:>4} {wide_msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        line.set_position(index as u64);
        line.set_message(title.to_owned());
    }

    /// A machine has done its steps.
    pub fn done(&self, machine: IpAddr, name: &str, count: usize) {
        let took = seconds(self.begun.elapsed());
        if self.ui.animate {
            if let Ok(lines) = self.lines.lock()
                && let Some(line) = lines.get(&machine)
            {
                line.set_position(count as u64);
                line.finish_with_message("done");
            }
        } else {
            let steps = if count == 1 { "step" } else { "steps" };
            self.ui.note(&format!("  {name}: {count} {steps}, {took}"));
        }
    }

    /// A machine has failed.
    pub fn failed(&self, machine: IpAddr, name: &str, why: &str) {
        if self.ui.animate
            && let Ok(lines) = self.lines.lock()
            && let Some(line) = lines.get(&machine)
        {
            line.abandon_with_message(why.to_owned());
        }
        self.bars
            .suspend(|| self.ui.note(&format!("  {name}: {why}")));
    }

    /// Ends the stage.
    pub fn end(self) {
        if self.ui.animate {
            self.bars.clear().ok();
            self.ui.note(&format!(
                "{}: {}",
                self.title,
                seconds(self.begun.elapsed())
            ));
        }
    }
}
