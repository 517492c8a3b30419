//! The command `pelton turn`.

use crate::options::TurnOptions;
use crate::report::TurnReport;
use crate::steps::Steps;
use crate::{banking77_turn, report_html, report_text, telco_turn};
use anyhow::Context as _;
use clap::Args;
use pelton_client::Client;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `pelton turn`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  pelton turn                                the telco desk, five seeds
  pelton turn --quick                        a small turn in a minute or two
  pelton turn --data ../shared/data/banking77 --minutes 20")]
pub struct Arguments {
    /// Address of the server.
    #[arg(long, env = "PELTON_URL", default_value = "http://127.0.0.1:7077")]
    pub url: String,
    /// API key, where the server asks for one.
    #[arg(long, env = "PELTON_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
    /// Folder of the banking77 release (train.csv, test.csv); without it the telco desk is run.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the report goes.
    #[arg(long, value_name = "DIR", default_value = "turn-report")]
    pub out: PathBuf,
    /// Base model.
    #[arg(long, value_name = "NAME@VERSION")]
    pub base: Option<String>,
    /// One seed and few items: shows the way, proves little.
    #[arg(long)]
    pub quick: bool,
    /// Seeds of the fine-tunes.
    #[arg(long)]
    pub seeds: Option<u64>,
    /// Longest time of one fine-tune.
    #[arg(long, value_name = "MINUTES")]
    pub minutes: Option<f64>,
    /// Accuracy of the TF-IDF reference on banking77, for the report.
    #[arg(long, value_name = "SHARE")]
    pub tfidf: Option<f64>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    fn options(self) -> TurnOptions {
        let Self { url, api_key, data, out, base, quick, seeds, minutes, tfidf, json: _ } = self;
        TurnOptions { url, api_key, data, out, base, quick, seeds, minutes, tfidf }
    }
}

/// Runs a turn, writes its report and prints it. The exit code says whether the candidate was
/// promoted (telco desk) or the tuned model beat the base (banking77).
///
/// # Errors
/// When a step of the turn fails.
pub async fn run_command(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.json;
    let report = run(arguments.options()).await?;
    let text = if json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        report_text::markdown(&report)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a turn and writes `report.json`, `checks.json`, `report.md` and `report.html` into its folder.
///
/// # Errors
/// When a step of the turn fails, naming the step, or the report cannot be written.
pub async fn run(options: TurnOptions) -> anyhow::Result<TurnReport> {
    let client = Client::new(&options.url, options.api_key.clone());
    let mut steps = Steps::new();
    let mut report = match &options.data {
        Some(folder) => {
            let report = banking77_turn::run(&client, &options, folder, &mut steps).await?;
            TurnReport::Banking77(Box::new(report))
        }
        None => TurnReport::Telco(Box::new(telco_turn::run(&client, &options, &mut steps).await?)),
    };
    report.set_times(steps.finish());
    write(&options, &report).context("the report cannot be written")?;
    Ok(report)
}

fn write(options: &TurnOptions, report: &TurnReport) -> anyhow::Result<()> {
    let folder = &options.out;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    for (name, text) in [
        ("report.json", serde_json::to_string_pretty(report)?),
        ("checks.json", serde_json::to_string_pretty(&report.checks())?),
        ("report.md", report_text::markdown(report)),
        ("report.html", report_html::page(report)),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}
