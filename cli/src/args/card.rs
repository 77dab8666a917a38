//! Flags of `longhaul card`.

use super::ServerArgs;
use clap::{Args, Subcommand, ValueEnum};
use longhaul_signing::Algorithm;
use std::path::PathBuf;

/// `longhaul card`.
#[derive(Debug, Clone, Subcommand)]
pub enum CardCommand {
    /// Show the card of an agent
    Show(ShowCardArgs),
    /// Sign a card that you publish yourself
    Sign(SignCardArgs),
    /// Check the signatures of a card
    Verify(VerifyCardArgs),
    /// Make and look at keys that sign cards
    #[command(subcommand)]
    Key(CardKeyCommand),
}

/// The protocol version of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CardVersionArg {
    /// A2A 1.0.
    #[default]
    #[value(name = "1.0")]
    V1,
    /// A2A 0.3; Longhaul answers with one document for clients of both versions.
    #[value(name = "0.3")]
    V0,
}

impl CardVersionArg {
    /// The value of the `A2A-Version` header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V0 => "0.3",
        }
    }
}

/// `longhaul card show`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  longhaul card show
  longhaul card show https://agents.example.com --agent documents
  longhaul card show https://example.com/.well-known/agent-card.json --json
  longhaul card show --extended                 the card that only those see who authenticate")]
pub struct ShowCardArgs {
    /// The server, or the card itself where the address ends with .json [default: that of --url]
    #[arg(value_name = "URL")]
    pub address: Option<String>,
    /// Ask for the extended card, with the API key
    #[arg(long, conflicts_with = "version")]
    pub extended: bool,
    /// Ask for the card of this protocol version
    #[arg(long, value_enum, value_name = "VERSION", default_value = "1.0")]
    pub version: CardVersionArg,
    /// Print the JSON
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `longhaul card sign`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul card sign card.json --key card-key.pem --out signed.json
  longhaul card sign - --key card-key.pem --jku https://example.com/.well-known/jwks.json <card.json >signed.json

An API node signs its cards by itself: see cards.signing_keys in the configuration.")]
pub struct SignCardArgs {
    /// The card, a JSON file; - reads it from standard input
    #[arg(value_name = "FILE")]
    pub card: String,
    /// File of the private key (PKCS#8 PEM)
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// URL of the key set, to be named in the signature
    #[arg(long, value_name = "URL")]
    pub jku: Option<String>,
    /// Write the signed card to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `longhaul card verify`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul card verify https://agents.example.com
  longhaul card verify https://agents.example.com/agents/documents/.well-known/agent-card.json
  longhaul card verify card.json --jwks https://example.com/.well-known/jwks.json
  longhaul card verify - --key card-key.pub.pem <card.json

Ends with 0 if at least one signature is valid. Without --jwks and --key it takes the key set that the card names, if it is on
the server that the card came from; one elsewhere only with --trust-jku, as the author of the card chose that address too.")]
pub struct VerifyCardArgs {
    /// The card: a file, - for standard input, a server, or the card's address where it ends with
    /// .json
    #[arg(value_name = "URL|FILE")]
    pub card: String,
    /// Trust the keys of this key set
    #[arg(long, value_name = "URL|FILE")]
    pub jwks: Option<String>,
    /// Trust this key (PEM), whatever name signatures give it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Trust the key set that the card names, wherever it is
    #[arg(long, conflicts_with_all = ["jwks", "key"])]
    pub trust_jku: bool,
    /// The agent, where the server has several
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Ask for the card of this protocol version
    #[arg(long, value_enum, value_name = "VERSION", default_value = "1.0")]
    pub version: CardVersionArg,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `longhaul card key`.
#[derive(Debug, Clone, Subcommand)]
pub enum CardKeyCommand {
    /// Make a key
    New(NewCardKeyArgs),
    /// Show the public half of a key
    Show(ShowCardKeyArgs),
}

/// `longhaul card key new`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul card key new --out card-key.pem
  longhaul card key new --alg EdDSA --out -")]
pub struct NewCardKeyArgs {
    /// Algorithm: ES256 or EdDSA
    #[arg(long, value_name = "NAME", default_value = "ES256")]
    pub alg: Algorithm,
    /// Write the private key to this file, which must not be there; - prints it
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `longhaul card key show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  longhaul card key show card-key.pem
  longhaul card key show card-key.pem --pem >card-key.pub.pem
  longhaul card key show new.pem old.pub.pem --jwks >jwks.json")]
pub struct ShowCardKeyArgs {
    /// Files of keys (PEM), private or public
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print the public keys as PEM
    #[arg(long, conflicts_with = "jwks")]
    pub pem: bool,
    /// Print them as a key set (RFC 7517)
    #[arg(long)]
    pub jwks: bool,
}
