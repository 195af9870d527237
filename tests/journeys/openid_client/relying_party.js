// A relying party on openid-client, told what to do by lines of JSON on stdin.
//
//   node relying_party.js ISSUER CLIENT_ID CLIENT_SECRET REDIRECT_URI SCOPE
//
// Each line is {"do": NAME, …}; each answer is one line: what came of it, or {"error": …} with what
// the server said. openid-client checks discovery, state, nonce, iss and claims; the signature of
// the ID token, which it leaves to TLS, is verified here with jose.
import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node 18

const client = await import("openid-client");
const jose = await import("jose");

const [issuer, id, secret, redirectUri, scope] = process.argv.slice(2);
const config = await client.discovery(
  new URL(issuer), id, undefined, client.ClientSecretBasic(secret),
  { execute: [client.allowInsecureRequests] }, // plain http on loopback
);
const server = config.serverMetadata();
const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri));
let asked;
let tokens;

async function take(answer) {
  const { payload, protectedHeader } = await jose.jwtVerify(answer.id_token, keys, {
    issuer, audience: id, algorithms: ["RS256"],
  });
  tokens = { ...tokens, ...answer };
  return {
    claims: payload, alg: protectedHeader.alg, scope: answer.scope,
    rotated: answer.refresh_token !== undefined,
  };
}

const actions = {
  async authorize() {
    const verifier = client.randomPKCECodeVerifier();
    asked = { verifier, state: client.randomState(), nonce: client.randomNonce() };
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri, scope, state: asked.state, nonce: asked.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    });
    return { url: url.href };
  },
  async callback({ url }) {
    return take(await client.authorizationCodeGrant(config, new URL(url), {
      pkceCodeVerifier: asked.verifier, expectedState: asked.state, expectedNonce: asked.nonce,
      idTokenExpected: true,
    }));
  },
  async userinfo() {
    const { sub } = jose.decodeJwt(tokens.id_token);
    return client.fetchUserInfo(config, tokens.access_token, sub);
  },
  async refresh() {
    return take(await client.refreshTokenGrant(config, tokens.refresh_token));
  },
  async revoke() {
    await client.tokenRevocation(config, tokens.refresh_token);
    return {};
  },
  async logout() {
    return { url: client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token }).href };
  },
};

console.log(JSON.stringify({ ready: server.issuer }));
for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = await actions[name](given);
  } catch (error) {
    // ResponseBodyError has `error`, AuthorizationResponseError too; the rest has a code.
    answer = {
      error: error.error ?? error.code ?? error.name, status: error.status,
      said: error.cause?.error_uri ?? error.message,
    };
  }
  console.log(JSON.stringify(answer));
}
