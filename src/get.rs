//! `lbnode get`: one page of an admin server on standard output, for nodes that have no curl.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use daemon::probe;
use daemon::tls::{ClientTls, ServerName};

use crate::cli::GetArgs;

/// Asks and prints. The exit code is 1 when there was no answer with a status of 200 to 299.
pub(crate) fn run(args: GetArgs) -> ExitCode {
    match fetch(args).and_then(|body| Ok(io::stdout().write_all(&body)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn fetch(args: GetArgs) -> anyhow::Result<Vec<u8>> {
    let GetArgs {
        url,
        ca,
        name,
        timeout_millis,
    } = args;
    let trust = match (url.is_https(), &ca) {
        (true, Some(ca)) => Some(ClientTls::from_ca_file(ca)?),
        (true, None) => {
            bail!("an https address needs a CA\nhint: add `--ca /etc/kubernetes/pki/ca.crt`")
        }
        (false, _) => None,
    };
    let name = name.unwrap_or_else(|| url.target().ip().to_string());
    let name = ServerName::try_from(name.clone())
        .with_context(|| format!("`{name}` is not a name or address"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tls = trust.as_ref().map(|trust| (trust, name));
    let answer = runtime
        .block_on(probe::get(url.target(), tls, url.path(), timeout_millis))
        .with_context(|| url.to_string())?;
    Ok(answer.body)
}
