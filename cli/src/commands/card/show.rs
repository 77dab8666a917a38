//! `longhaul card show`.

use super::{source, view};
use crate::{
    args::ShowCardArgs,
    client::a2a_client,
    exit::{CommandError, CommandResult, Completion},
    print,
};
use serde_json::Value;

/// Runs the command.
pub async fn run(args: ShowCardArgs) -> CommandResult {
    let card =
        if args.extended { extended_card(args.clone()).await? } else { public_card(&args).await? };
    if args.json {
        print::line(&view::pretty(&card))?;
    } else {
        print::write_out(&view::card(&card))?;
    }
    Ok(Completion::Ok)
}

async fn public_card(args: &ShowCardArgs) -> Result<Value, CommandError> {
    let text = args.address.as_ref().unwrap_or(&args.server.url);
    let invalid =
        || CommandError::usage(format!("{text:?} does not begin with http:// or https://"));
    let url = source::parse_address(text).ok_or_else(invalid)??;
    let url = source::card_address(url, args.server.agent.as_deref());
    source::fetch_json(&url, Some(args.version.name())).await
}

/// Reads the extended card (A2A 3.1.11), with the API key.
async fn extended_card(args: ShowCardArgs) -> Result<Value, CommandError> {
    let mut server = args.server;
    if let Some(address) = args.address {
        server.url = address;
    }
    let raw = a2a_client(&server)?.extended_card().await?;
    longhaul_signing::parse_unambiguous(raw.get().as_bytes())
        .map_err(|error| CommandError::failed(error.to_string()))
}
