//! Makes pelton-tiny: `train_tiny OUT WORK [key=value…]`, or `train_tiny export OUT WORK [key=value…]` for a
//! look at a run that is going on.
#![allow(clippy::print_stdout, reason = "an example that prints")]

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, bail};
use pelton_tiny::recipe::{Recipe, export_checkpoint, reproduce};

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
        reproduce(&recipe, &out, &work, &mut |progress| {
            sum += progress.loss;
            if progress.step % 200 == 0 {
                println!(
                    "step {} tokens {:.2}M loss {:.3} norm {:.2} val {:?} {:.0} tokens/s, {:.1} min, {:.1} to go",
                    progress.step,
                    progress.tokens as f64 / 1e6,
                    sum / 200.0,
                    progress.grad_norm,
                    progress.val_loss,
                    progress.tokens as f64 / progress.elapsed,
                    progress.elapsed / 60.0,
                    progress.eta / 60.0
                );
                sum = 0.0;
            }
            ControlFlow::Continue(())
        })?
    };
    for ability in abilities {
        println!("{} {}/{}", ability.task, ability.right, ability.asked);
    }
    Ok(())
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
