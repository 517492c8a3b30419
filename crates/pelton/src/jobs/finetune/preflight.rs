//! Whether a run fits the machine, and how long it will take, before it starts.

use crate::jobs::report::{JobFailure, Report};
use pelton_model::DecoderConfig;
use pelton_supervise::free_memory;
use pelton_trainer::{Estimate, TrainConfig, TrainData, estimate, operations_per_second};

/// Share of the free memory that a run may plan with: others need some, too.
const SHARE: f64 = 0.9;
/// Code, data and the allocator's slack.
const BESIDES: u64 = 256 << 20;

/// Tells what the run will take, sets its memory limit, and refuses what does not fit. `beside` is what the job
/// itself needs before or after the run, in bytes.
pub fn check(
    report: Report,
    model: &DecoderConfig,
    quantized: bool,
    data: &TrainData,
    config: &mut TrainConfig,
    beside: u64,
) -> anyhow::Result<()> {
    let free = free_memory();
    let room = free.map(|free| ((free as f64 * SHARE) as u64).saturating_sub(BESIDES));
    config.memory_limit = room;
    let estimate = estimate(model, quantized, data, config)
        .map_err(|error| JobFailure::input(error.to_string(), "Correct the settings."))?;
    let seconds = estimate.seconds(operations_per_second(config.threads));
    report.info(&describe(&estimate, seconds, free));
    let needed = estimate.peak_bytes().max(beside);
    match room {
        Some(room) if needed > room => Err(refusal(&estimate, needed, room, beside).into()),
        _ => Ok(()),
    }
}

fn describe(estimate: &Estimate, seconds: f64, free: Option<u64>) -> String {
    let of = free.map_or_else(String::new, |free| format!(" of {} free", gib(free)));
    format!(
        "estimate: {}{of} (base {}, training state {}, activations {}, logits {}; recompute {:?}), \
         {} tokens, about {}",
        gib(estimate.peak_bytes()),
        gib(estimate.base_bytes),
        gib(estimate.state_bytes),
        gib(estimate.activation_bytes),
        gib(estimate.logit_bytes),
        estimate.recompute,
        estimate.tokens,
        duration(seconds),
    )
}

fn refusal(estimate: &Estimate, needed: u64, room: u64, beside: u64) -> JobFailure {
    let message =
        format!("the run would need about {} of memory, but {} can be had", gib(needed), gib(room));
    let parts = [
        (estimate.base_bytes, "keep the base in 8 bits (base_precision q8_0)"),
        (estimate.state_bytes, "train an adapter (method lora) or a lower rank"),
        (estimate.activation_bytes, "leave out the longest rows"),
        (estimate.logit_bytes, "use fewer threads"),
        (beside, "do without the teacher or the merged model"),
    ];
    let largest = parts.iter().max_by_key(|(bytes, _)| *bytes).map_or("", |(_, advice)| advice);
    JobFailure::input(message, format!("Use a machine with more memory, or {largest}."))
}

fn gib(bytes: u64) -> String {
    if bytes < 1 << 30 {
        format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
    } else {
        format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        ..5_400.0 => format!("{:.0} minutes", seconds / 60.0),
        _ => format!("{:.1} hours", seconds / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_trainer::Example;

    #[test]
    fn what_does_not_fit_is_refused_with_advice() {
        let model = DecoderConfig::small(32_000, 4_096, 11_008, 32, 32, 8);
        let data = TrainData::examples(vec![Example::uniform(vec![1; 100]); 4]);
        let config = TrainConfig::default();
        let estimate = estimate(&model, false, &data, &config).unwrap();
        let failure = refusal(&estimate, estimate.peak_bytes(), 1 << 30, 0);
        assert!(failure.message.contains("GiB of memory, but 1.0 GiB can be had"), "{failure:?}");
        assert!(failure.hint.contains("base_precision q8_0"), "{failure:?}");
        assert_eq!(failure.code, "invalid_input");
        let told = describe(&estimate, 7_200.0, Some(8 << 30));
        assert!(told.contains("of 8.0 GiB free") && told.ends_with("about 2.0 hours"), "{told}");
    }
}
