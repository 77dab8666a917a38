"""The official A2A SDK and signed cards: it verifies our card, and signs one that we verify.

    card_signatures.py verify URL [--path PATH]      fetches a card, and fails unless the SDK verifies it with its key set
    card_signatures.py sign KEY KID CARD             prints the card with the SDK's signature
"""

import argparse
import asyncio
import json
from pathlib import Path

import httpx
from a2a.client import A2ACardResolver
from a2a.types import AgentCard
from a2a.utils.signing import InvalidSignaturesError, create_agent_card_signer, create_signature_verifier
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf.json_format import MessageToDict, ParseDict
from jwt import PyJWKSet

ALGORITHMS = ["ES256", "EdDSA"]


class Keys:
    """Looks up keys like a careful client: by key id, in the key set that the signature names."""

    def __init__(self):
        self.asked = []

    def __call__(self, kid, jku):
        self.asked.append((kid, jku))
        key_set = PyJWKSet.from_dict(httpx.get(jku, timeout=30).raise_for_status().json())
        return key_set[kid].key


async def verify(url, path):
    keys = Keys()
    check = create_signature_verifier(keys, ALGORITHMS)
    async with httpx.AsyncClient(timeout=30) as client:
        card = await A2ACardResolver(client, url).get_agent_card(relative_card_path=path, signature_verifier=check)
    assert keys.asked, "no key was asked for"
    changed = AgentCard()
    changed.CopyFrom(card)
    changed.supported_interfaces[0].url = "http://127.0.0.1:1/"
    try:
        check(changed)
    except InvalidSignaturesError:
        kid, jku = keys.asked[0]
        print(json.dumps({"name": card.name, "kid": kid, "jku": jku, "signatures": len(card.signatures)}))
        return
    raise AssertionError("a changed card verifies too")


def sign(key, kid, card):
    private = load_pem_private_key(Path(key).read_bytes(), None)
    algorithm = "EdDSA" if type(private).__name__.startswith("Ed25519") else "ES256"
    card = ParseDict(json.loads(Path(card).read_text()), AgentCard(), ignore_unknown_fields=True)
    header = {"alg": algorithm, "kid": kid, "typ": "JOSE"}
    print(json.dumps(MessageToDict(create_agent_card_signer(private, header)(card))))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify")
    verifying.add_argument("url")
    verifying.add_argument("--path")
    signing = commands.add_parser("sign")
    signing.add_argument("key")
    signing.add_argument("kid")
    signing.add_argument("card")
    arguments = parser.parse_args()
    if arguments.command == "verify":
        asyncio.run(verify(arguments.url, arguments.path))
    else:
        sign(arguments.key, arguments.kid, arguments.card)


if __name__ == "__main__":
    main()
