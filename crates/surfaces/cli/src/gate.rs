//! `pelton gate`.

use crate::terminal::Terminal;
use clap::Subcommand;
use pelton_client::Client;
use serde_json::{Value, json};

/// Verbs of `pelton gate`.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Decide whether a candidate may roll out.
    #[command(after_help = "\
Example:
  pelton gate create --task eval_BASE,eval_TUNED --regression eval_BASE2,eval_TUNED2 --margin 0.03")]
    Create {
        /// Baseline and candidate on the task.
        #[arg(long, value_delimiter = ',', num_args = 1, required = true)]
        task: Vec<String>,
        /// Baseline and candidate on the regression set.
        #[arg(long, value_delimiter = ',', num_args = 1)]
        regression: Vec<String>,
        /// Level of the tests.
        #[arg(long, default_value_t = 0.05)]
        alpha: f64,
        /// Least gain on the task, as a share.
        #[arg(long, default_value_t = 0.0)]
        min_gain: f64,
        /// How much worse the candidate may be on the regression set, as a share.
        #[arg(long, default_value_t = 0.03)]
        margin: f64,
    },
}

pub(crate) async fn run(verb: Verb, client: &Client, out: &mut Terminal) -> anyhow::Result<()> {
    let Verb::Create { task, regression, alpha, min_gain, margin } = verb;
    let [baseline, candidate] = task.as_slice() else {
        anyhow::bail!("--task takes two evaluations: baseline,candidate");
    };
    let regression = match regression.as_slice() {
        [] => Value::Null,
        [baseline, candidate] => {
            json!({ "baseline": baseline, "candidate": candidate, "margin": margin })
        }
        _ => anyhow::bail!("--regression takes two evaluations: baseline,candidate"),
    };
    let request = json!({
        "task": { "baseline": baseline, "candidate": candidate, "alpha": alpha, "min_gain": min_gain },
        "regression": regression,
    });
    let gate: Value = client.post("/api/v1/gates", &request).await?;
    if out.is_json() {
        return Ok(out.raw(&gate)?);
    }
    let passed = if gate["passed"] == true { "passed" } else { "did not pass" };
    out.say(&format!("{} {passed}", gate["id"].as_str().unwrap_or_default()))?;
    for rule in gate["rules"].as_array().into_iter().flatten() {
        let mark = if rule["passed"] == true { "+" } else { "-" };
        let text = |name: &str| rule[name].as_str().unwrap_or_default();
        out.say(&format!("{mark} {}: {}", text("name"), text("detail")))?;
    }
    Ok(())
}
