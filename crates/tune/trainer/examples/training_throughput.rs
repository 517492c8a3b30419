//! Measures training speed: `throughput [hidden layers vocab threads seconds method]`.

use std::ops::ControlFlow;
use std::sync::Arc;

use pelton_model::{BaseModel, DecoderConfig, Projection};
use pelton_trainer::{
    Example, ExampleSource, Method, Optimizer, RunLength, TrainConfig, TrainData, train,
};

/// Random tokens in sequences of 60 to 250.
struct Noise {
    vocab: u64,
}

impl ExampleSource for Noise {
    fn example(&self, index: u64, _tokens_seen: u64) -> Example {
        let len = 60 + index.wrapping_mul(7919) % 190;
        let token = |place: u64| ((index * 31 + place) * 2_654_435_761 % self.vocab) as u32;
        Example::uniform((0..len).map(token).collect())
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (hidden, layers, vocab, threads) = (number(128), number(4), number(1024), number(2));
    let (seconds, method, micro, batch) = (number(10), number(0), number(512), number(4096));
    let inner = match hidden {
        128 => 384,
        160 => 448,
        other => other * 8 / 3 / 32 * 32,
    };
    let config = DecoderConfig::small(vocab, hidden, inner, layers, hidden / 32, hidden / 64);
    let model = Arc::new(BaseModel::initialize(config, 1)?);
    let mut settings = TrainConfig {
        threads,
        micro_tokens: micro,
        batch_tokens: batch,
        length: RunLength::Steps(1_000_000),
        checkpoint_interval: 0,
        ..TrainConfig::pretrain(0)
    };
    match method {
        0 => {}
        1 => settings.optimizer = Optimizer::Adamw,
        _ => {
            settings.optimizer = Optimizer::Adamw;
            settings.method = Method::Lora {
                rank: 8,
                alpha: 16.0,
                targets: Projection::ALL.to_vec(),
                rank_stabilized: false,
            };
        }
    }
    let data = TrainData::stream(Arc::new(Noise { vocab: vocab as u64 }), Vec::new());
    let folder = std::env::temp_dir().join("pelton-throughput-has-no-checkpoints");
    let outcome = train(&model, &data, &settings, &folder, &mut |progress| {
        if progress.elapsed > seconds as f64 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    let _ = std::fs::remove_dir_all(&folder);
    let report = outcome.report;
    println!(
        "{{\"parameters\": {}, \"trained\": {}, \"steps\": {}, \"tokens_per_s\": {:.0}, \"loss\": {:.3}}}",
        model.weights().len(),
        report.trained_parameters,
        report.steps,
        report.tokens as f64 / report.seconds,
        report.curve.last().map_or(f32::NAN, |point| point.loss),
    );
    Ok(())
}
