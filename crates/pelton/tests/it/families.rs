//! What is trained is what is served: both compute the same logits, in every family.

use pelton_model::{BaseModel, DecoderConfig, Precision};
use pelton_scheduler::Decoder;

#[test]
fn the_trainer_and_the_engine_compute_the_same_logits() {
    let small = DecoderConfig::small(64, 64, 96, 3, 4, 2);
    for config in small.in_every_family().into_iter().chain([small]) {
        let family = config.family().to_owned();
        let mut weights = BaseModel::initialize(config.clone(), 6).unwrap().weights().to_vec();
        for (at, weight) in weights.iter_mut().enumerate() {
            *weight = *weight * 4.0 + (at % 7) as f32 * 0.01;
        }
        let model = BaseModel::new(config, weights).unwrap();
        let tokens: Vec<u32> = (0..40).map(|at| (at * at * 5 + at * 3 + 1) % 64).collect();
        let trained = pelton_trainer::logits(&model, None, &tokens).unwrap();
        let decoder = Decoder::new(&model, Precision::F32).unwrap();
        let served = pelton_scheduler::logits(&decoder, None, &tokens).unwrap();
        assert_eq!(trained.len(), served.len());
        for (trained, served) in trained.iter().zip(served) {
            assert!((trained - served).abs() < 1e-3, "{family}: {trained} {served}");
        }
    }
}
