//! All nouns, what every command takes, and how it ends.

use crate::terminal::{JobFailed, Terminal};
use crate::{
    audit, dataset, endpoint, evaluation, feedback, finetune, gate, job, key, model, release,
    rollout, server, trace,
};
use clap::{Args, Subcommand};
use pelton_client::{Client, ClientError};
use std::io::Write as _;
use std::process::ExitCode;

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// Address of the server.
    #[arg(long, env = "PELTON_URL", default_value = "http://127.0.0.1:7077", global = true)]
    pub url: String,
    /// API key, where the server asks for one.
    #[arg(long, env = "PELTON_API_KEY", hide_env_values = true, global = true)]
    pub api_key: Option<String>,
    /// Print the API's JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// A noun with its verbs.
#[derive(Debug, Clone, Args)]
pub struct Noun<V: Subcommand> {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: V,
}

/// Everything that can be asked of a server.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// The server: whether it is there and what it holds.
    Server(Noun<server::Verb>),
    /// Calls as served.
    Trace(Noun<trace::Verb>),
    /// Scores, labels and corrections.
    Feedback(Noun<feedback::Verb>),
    /// Datasets and their versions.
    Dataset(Noun<dataset::Verb>),
    /// Base models and adapters.
    Model(Noun<model::Verb>),
    /// Background work.
    Job(Noun<job::Verb>),
    /// Adapters trained on a dataset.
    Finetune(Noun<finetune::Verb>),
    /// Scores on held-out items.
    Evaluation(Noun<evaluation::Verb>),
    /// Decisions over evaluations.
    Gate(Noun<gate::Verb>),
    /// Immutable bundles that answer.
    Release(Noun<release::Verb>),
    /// The names that applications call.
    Endpoint(Noun<endpoint::Verb>),
    /// Staged changes of an endpoint.
    Rollout(Noun<rollout::Verb>),
    /// API keys.
    Key(Noun<key::Verb>),
    /// Who changed what.
    Audit(Noun<audit::Verb>),
}

/// Carries out a command and says how it ended.
///
/// # Errors
/// When the terminal cannot be written; refusals are printed and become the exit code.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let mut terminal = Terminal::on_process(command.globals().json);
    let code = finish(carry_out(command, &mut terminal).await);
    Ok(ExitCode::from(code))
}

impl Command {
    /// What is to be quantized, where this is the command: it is done on this machine, not by a server.
    #[must_use]
    pub const fn quantize(&self) -> Option<&model::Quantize> {
        match self {
            Self::Model(Noun { verb: model::Verb::Quantize(quantize), .. }) => Some(quantize),
            _ => None,
        }
    }

    /// The adapter to be written as GGUF, where this is the command: on this machine, too.
    #[must_use]
    pub const fn export_adapter(&self) -> Option<(&model::ExportAdapter, &Globals)> {
        match self {
            Self::Model(Noun { verb: model::Verb::ExportAdapter(export), globals }) => {
                Some((export, globals))
            }
            _ => None,
        }
    }

    /// What is to be pulled, where this is the command: it is downloaded on this machine, and then
    /// uploaded to the server.
    #[must_use]
    pub const fn pull(&self) -> Option<(&model::Pull, &Globals)> {
        match self {
            Self::Model(Noun { verb: model::Verb::Pull(pull), globals }) => Some((pull, globals)),
            _ => None,
        }
    }

    const fn globals(&self) -> &Globals {
        match self {
            Self::Server(noun) => &noun.globals,
            Self::Trace(noun) => &noun.globals,
            Self::Feedback(noun) => &noun.globals,
            Self::Dataset(noun) => &noun.globals,
            Self::Model(noun) => &noun.globals,
            Self::Job(noun) => &noun.globals,
            Self::Finetune(noun) => &noun.globals,
            Self::Evaluation(noun) => &noun.globals,
            Self::Gate(noun) => &noun.globals,
            Self::Release(noun) => &noun.globals,
            Self::Endpoint(noun) => &noun.globals,
            Self::Rollout(noun) => &noun.globals,
            Self::Key(noun) => &noun.globals,
            Self::Audit(noun) => &noun.globals,
        }
    }
}

/// Carries out a command on any terminal.
pub(crate) async fn carry_out(command: Command, out: &mut Terminal) -> anyhow::Result<()> {
    let globals = command.globals();
    let client = Client::new(&globals.url, globals.api_key.clone());
    match command {
        Command::Server(noun) => server::run(noun.verb, &client, out).await,
        Command::Trace(noun) => trace::run(noun.verb, &client, out).await,
        Command::Feedback(noun) => feedback::run(noun.verb, &client, out).await,
        Command::Dataset(noun) => dataset::run(noun.verb, &client, out).await,
        Command::Model(noun) => model::run(noun.verb, &client, out).await,
        Command::Job(noun) => job::run(noun.verb, &client, out).await,
        Command::Finetune(noun) => finetune::run(noun.verb, &client, out).await,
        Command::Evaluation(noun) => evaluation::run(noun.verb, &client, out).await,
        Command::Gate(noun) => gate::run(noun.verb, &client, out).await,
        Command::Release(noun) => release::run(noun.verb, &client, out).await,
        Command::Endpoint(noun) => endpoint::run(noun.verb, &client, out).await,
        Command::Rollout(noun) => rollout::run(noun.verb, &client, out).await,
        Command::Key(noun) => key::run(noun.verb, &client, out).await,
        Command::Audit(noun) => audit::run(noun.verb, &client, out).await,
    }
}

/// Tells what went wrong, with the hint, and chooses the exit code.
pub fn finish(outcome: anyhow::Result<()>) -> u8 {
    let Err(error) = outcome else { return 0 };
    // A closed pipe (`| head`) is no failure.
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    {
        return 0;
    }
    let (text, code) = explain(&error);
    // Nothing is left to do when standard error is closed as well.
    let _ignored = writeln!(std::io::stderr(), "{text}");
    code
}

/// The words for an error, and its exit code.
pub(crate) fn explain(error: &anyhow::Error) -> (String, u8) {
    let mut text = format!("error: {error:#}");
    let (hint, code) = if let Some(refused) = error.downcast_ref::<ClientError>() {
        let code = if matches!(refused, ClientError::Unreachable { .. }) { 3 } else { 1 };
        (refused.hint().map(str::to_owned), code)
    } else if let Some(failed) = error.downcast_ref::<JobFailed>() {
        (Some(failed.hint.clone()), 4)
    } else {
        (None, 1)
    };
    if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
        text.push_str("\n hint: ");
        text.push_str(&hint);
    }
    (text, code)
}
