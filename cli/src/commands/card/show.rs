//! `longhaul card show`.

use super::{source, view};
use crate::{
    args::ShowCard,
    client::Endpoint,
    exit::{Done, Failure, Outcome},
    print,
};
use serde_json::{Value, value::RawValue};

/// Runs the command.
pub async fn run(args: ShowCard) -> Outcome {
    let card = if args.extended { extended(args.clone()).await? } else { public(&args).await? };
    if args.json {
        print::line(&view::pretty(&card))?;
    } else {
        print::write_out(&view::card(&card))?;
    }
    Ok(Done::Ok)
}

async fn public(args: &ShowCard) -> Result<Value, Failure> {
    let text = args.address.as_ref().unwrap_or(&args.server.url);
    let no_address = || Failure::usage(format!("{text:?} does not begin with http:// or https://"));
    let url = source::address(text).ok_or_else(no_address)??;
    let url = source::card_address(url, args.server.agent.as_deref());
    source::from_address(&url, Some(args.version.name())).await
}

/// The extended card is asked for like a task (A2A 3.1.11), with the API key.
async fn extended(args: ShowCard) -> Result<Value, Failure> {
    let mut server = args.server;
    if let Some(address) = args.address {
        server.url = address;
    }
    let nothing: Box<RawValue> = RawValue::from_string("{}".to_owned())
        .map_err(|error| Failure::failed(error.to_string()))?;
    let raw = Endpoint::new(&server)?.call("GetExtendedAgentCard", &nothing).await?;
    longhaul_signing::read(raw.get().as_bytes()).map_err(|error| Failure::failed(error.to_string()))
}
