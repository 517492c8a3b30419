//! Prints items of the corpus and what they cost in tokens, to read them before a run.
#![allow(clippy::print_stdout, reason = "an example that prints")]

use pelton_tiny::corpus::{Corpus, STAGES};
use pelton_tiny::split::Split;
use pelton_tiny::tokenizer::TinyTokenizer;

fn main() -> anyhow::Result<()> {
    let corpus = Corpus::new(1, Split::Train);
    let vocab = std::env::args().nth(1).map_or(Ok(1536), |text| text.parse())?;
    let tokenizer = TinyTokenizer::train(&corpus, 6_000, vocab)?;
    for stage in 0..STAGES {
        for index in 0..8 {
            let item = corpus.conversation(stage, index);
            println!(
                "--- {stage} {:?} {} tokens",
                item.task,
                tokenizer.encode(&item)?.tokens.len()
            );
            println!("{}{}<eos>", item.prompt(), item.answer);
        }
        let lengths: Vec<usize> = (0..3_000)
            .map(|index| {
                corpus.example(&tokenizer, stage, index).map(|example| example.tokens.len())
            })
            .collect::<Result<_, _>>()?;
        let answers: f32 = (0..3_000)
            .map(|index| {
                corpus
                    .example(&tokenizer, stage, index)
                    .map(|example| example.loss_weights.iter().filter(|w| **w > 0.9).count() as f32)
            })
            .sum::<Result<f32, _>>()?;
        let total: usize = lengths.iter().sum();
        println!(
            "stage {stage}: mean {}, longest {}, answer share {:.2}",
            total / lengths.len(),
            lengths.iter().max().unwrap_or(&0),
            answers / total as f32
        );
    }
    Ok(())
}
