//! Makes pelton-tiny: `train_tiny OUT WORK [key=value…]`, or `train_tiny export OUT WORK [key=value…]` for a
//! look at a run that is going on.
#![allow(clippy::print_stdout, reason = "an example that prints")]

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, bail};
use pelton_tiny::recipe::{Event, Recipe, export_checkpoint, reproduce};
use pelton_trainer::Progress;

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let export = arguments.first().is_some_and(|first| first == "export");
    if export {
        arguments.remove(0);
    }
    let [out, work, settings @ ..] = arguments.as_slice() else {
        bail!("usage: train_tiny [export] OUT WORK [key=value…]")
    };
    let (out, work) = (PathBuf::from(out), PathBuf::from(work));
    let mut recipe = Recipe::default();
    for setting in settings {
        set(&mut recipe, setting)?;
    }
    let abilities = if export {
        export_checkpoint(&recipe, &work, &out)?
    } else {
        let mut sum = 0.0;
        reproduce(&recipe, &out, &work, &mut |event| {
            match event {
                Event::Step(step) => {
                    sum += step.loss;
                    if step.step % 200 == 0 {
                        print_step(step, sum / 200.0);
                        sum = 0.0;
                    }
                }
                Event::Cycle { phase, cycle, share } => {
                    println!("{phase}, cycle {cycle}: {share:.3} of held-out answers right");
                }
            }
            ControlFlow::Continue(())
        })?
    };
    for ability in abilities {
        println!("{} {}/{}", ability.task, ability.right, ability.asked);
    }
    Ok(())
}

fn print_step(step: &Progress, loss: f64) {
    println!(
        "step {} tokens {:.2}M loss {loss:.3} norm {:.2} val {:?} {:.0} tokens/s, {:.1} min, {:.1} to go",
        step.step,
        step.tokens as f64 / 1e6,
        step.grad_norm,
        step.val_loss,
        step.tokens as f64 / step.elapsed,
        step.elapsed / 60.0,
        step.eta / 60.0
    );
}

fn set(recipe: &mut Recipe, setting: &str) -> anyhow::Result<()> {
    let (key, value) = setting.split_once('=').context("a setting is key=value")?;
    match key {
        "seed" => recipe.seed = value.parse()?,
        "vocab" => recipe.vocab = value.parse()?,
        "width" => recipe.width = value.parse()?,
        "layers" => recipe.layers = value.parse()?,
        "heads" => recipe.heads = value.parse()?,
        "feed_forward" => recipe.feed_forward = value.parse()?,
        "batch_tokens" => recipe.batch_tokens = value.parse()?,
        "threads" => recipe.threads = value.parse()?,
        _ => bail!("unknown setting {key}"),
    }
    Ok(())
}
