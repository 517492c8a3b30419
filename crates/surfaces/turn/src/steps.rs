//! The steps of a turn as they go, on the terminal: a moving line for people, plain lines for logs.

use crate::report::StepTime;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Plain lines for one step come at most this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The steps so far.
pub(crate) struct Steps {
    begun: Instant,
    done: Vec<StepTime>,
    current: Option<(String, Instant)>,
    bar: ProgressBar,
    plain: bool,
    last_plain: Instant,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self::on(!std::io::stderr().is_terminal())
    }

    fn on(plain: bool) -> Self {
        let bar = ProgressBar::with_draw_target(
            None,
            if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() },
        );
        let style = ProgressStyle::with_template(
            "  {spinner:.cyan} {msg} {wide_bar:.cyan/dim} {pos}/{len} ",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let now = Instant::now();
        Self { begun: now, done: Vec::new(), current: None, bar, plain, last_plain: now }
    }

    /// Begins a step and ends the one before.
    pub(crate) fn begin(&mut self, name: &str) {
        self.end();
        self.current = Some((name.to_owned(), Instant::now()));
        self.bar.reset();
        self.bar.set_length(0);
        self.bar.set_message(name.to_owned());
        if self.plain {
            self.line(&format!("… {name}"));
        } else {
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
        self.last_plain = Instant::now();
    }

    /// Says how far the step is.
    pub(crate) fn at(&mut self, done: u64, total: u64, message: &str) {
        let name = self.current.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
        let text = if message.is_empty() { name } else { format!("{name}: {message}") };
        if self.plain {
            if self.last_plain.elapsed() >= PLAIN_INTERVAL {
                self.last_plain = Instant::now();
                self.line(&format!("    {text} ({done}/{total})"));
            }
            return;
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(text);
    }

    /// Says something that stays.
    pub(crate) fn note(&self, text: &str) {
        self.line(&format!("    {text}"));
    }

    fn end(&mut self) {
        if let Some((name, begun)) = self.current.take() {
            let seconds = begun.elapsed().as_secs_f64();
            self.line(&format!("✓ {name} ({seconds:.1} s)"));
            self.done.push(StepTime { name, seconds });
        }
    }

    /// Ends the last step; the times of all, and of the whole.
    pub(crate) fn finish(mut self) -> (Vec<StepTime>, f64) {
        self.end();
        self.bar.finish_and_clear();
        (std::mem::take(&mut self.done), self.begun.elapsed().as_secs_f64())
    }

    fn line(&self, text: &str) {
        if self.plain {
            // A closed pipe is no reason to stop a turn.
            let _ignored = writeln!(std::io::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_timed_once() {
        let mut steps = Steps::on(true);
        steps.begin("ask");
        steps.at(1, 2, "half");
        steps.begin("tune");
        let (done, seconds) = steps.finish();
        assert_eq!(done.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["ask", "tune"]);
        assert!(done.iter().map(|step| step.seconds).sum::<f64>() <= seconds);
    }
}
