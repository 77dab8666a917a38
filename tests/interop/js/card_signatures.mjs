// The JavaScript SDK @a2a-js/sdk 1.x and signed cards: it verifies our card, and signs one that we verify.
//
//   card_signatures.mjs MODULES verify URL            fetches a card, and fails unless the SDK verifies it with its key set
//   card_signatures.mjs MODULES sign KEY KID CARD     prints the card with the SDK's signature

import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, command, ...rest] = process.argv.slice(2);
const load = createRequire(join(modules, "package.json"));
const { generateAgentCardSignature, verifyAgentCardSignature } = load("@a2a-js/sdk");
console.debug = () => {};

async function json(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

async function verify(url) {
  const asked = [];
  const check = verifyAgentCardSignature(async (kid, jku) => {
    asked.push(kid);
    return (await json(jku)).keys.find((key) => key.kid === kid);
  });
  const card = await json(url);
  await check(card);
  card.supportedInterfaces[0].url = "http://127.0.0.1:1/";
  const fooled = await check(card).then(
    () => true,
    () => false,
  );
  if (fooled) throw new Error("a changed card verifies too");
  return { name: card.name, kid: asked[0], signatures: card.signatures.length };
}

// The SDK omits security schemes when it canonicalises a parsed card, so this signs and verifies raw
// documents.
async function sign(key, kid, file) {
  const privateKey = createPrivateKey(readFileSync(key));
  const alg = privateKey.asymmetricKeyType === "ed25519" ? "EdDSA" : "ES256";
  return generateAgentCardSignature(privateKey, { alg, kid, typ: "JOSE" })(JSON.parse(readFileSync(file, "utf8")));
}

console.log(JSON.stringify(await (command === "verify" ? verify(...rest) : sign(...rest))));
