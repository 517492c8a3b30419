//! Pages that are made from the code: `cargo xtask gen` writes them into `docs/`.

use clap::{CommandFactory as _, Subcommand};
use std::process::ExitCode;

/// Which page.
#[derive(Subcommand)]
pub enum Page {
    /// Every setting.
    Reference,
    /// Every command.
    CliReference,
    /// The OpenAPI document.
    Openapi,
}

/// Prints a page.
#[expect(clippy::print_stdout, reason = "the page is the command's answer")]
pub fn print(page: Page) -> anyhow::Result<ExitCode> {
    match page {
        Page::Reference => print!("{}", pelton_config::reference()),
        Page::CliReference => print!("{}", cli_reference()),
        Page::Openapi => print!("{}", pelton_api::openapi()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Every command with its help, in Markdown.
fn cli_reference() -> String {
    let mut page = String::from(
        "# Command line\n\n<!-- Written by `cargo xtask gen`; do not edit. -->\n\n\
         Commands that read or change something speak to a running server: `--url` or \
         `PELTON_URL` says which, `--api-key` or `PELTON_API_KEY` with which key, and `--json` \
         prints the API's own answer.\n",
    );
    let mut root = crate::Arguments::command().term_width(100);
    root.build();
    describe(&mut page, &root, "pelton");
    page
}

fn describe(page: &mut String, command: &clap::Command, path: &str) {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        if inner.get_name() == "help" {
            continue;
        }
        let path = format!("{path} {}", inner.get_name());
        if inner.has_subcommands() {
            describe(page, inner, &path);
            continue;
        }
        let help = inner.clone().term_width(100).render_long_help().to_string();
        page.push_str(&format!("\n## `{path}`\n\n```text\n{}\n```\n", help.trim_end()));
    }
}
