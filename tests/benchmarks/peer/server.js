// The peer: oidc-provider in one process, with everything in memory, and tokens made beforehand.
//
//   node server.js PORT COUNT     prints {"refresh": […], "access": […]} once it listens
//
// It signs as ours does: ES256 for access tokens (JWT, RFC 9068) and ID tokens, the same client
// authentication, refresh tokens rotated at each use. Its own in-memory adapter scans a token's
// family at each rotation; a plain Map serves it better. It cannot introspect JWTs, so there it is
// asked about opaque tokens, which cost it no signature to check.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const [port, count] = process.argv.slice(2).map(Number);
const issuer = `http://127.0.0.1:${port}`;
const resource = "https://api.example";
const stored = new Map();

class InMemory {
  constructor(model) { this.prefix = `${model}:`; }
  async upsert(id, payload) { stored.set(this.prefix + id, payload); }
  async find(id) { return stored.get(this.prefix + id); }
  async findByUid() { return undefined; }
  async consume(id) { stored.get(this.prefix + id).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { stored.delete(this.prefix + id); }
  async revokeByGrantId() {}
}

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const secret = "bench-secret-bench-secret-bench-secret";
const provider = new Provider(issuer, {
  adapter: InMemory,
  jwks: { keys: [{ ...key, alg: "ES256", use: "sig", kid: "es" }] },
  enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
  scopes: ["openid", "offline_access", "read"],
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  clients: [
    {
      client_id: "machine", client_secret: secret, redirect_uris: [], response_types: [],
      grant_types: ["client_credentials"], token_endpoint_auth_method: "client_secret_basic",
    },
    {
      client_id: "app", client_secret: secret, redirect_uris: ["https://app.example/cb"],
      grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "client_secret_basic",
    },
    {
      client_id: "api", client_secret: secret, redirect_uris: [], response_types: [],
      grant_types: [], token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => resource,
      useGrantedResource: async () => true,
      getResourceServerInfo: async () => ({
        audience: resource, scope: "read", accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, ClientCredentials: 300, IdToken: 300, RefreshToken: 86400, Grant: 86400 },
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
});

async function mint(number) {
  const client = await provider.Client.find("app");
  const accountId = `person-${number}`;
  const grant = new provider.Grant({ accountId, clientId: "app" });
  grant.addOIDCScope("openid offline_access");
  grant.addResourceScope(resource, "read");
  const grantId = await grant.save();
  const common = { accountId, client, grantId, gty: "authorization_code" };
  const refresh = new provider.RefreshToken({
    ...common, scope: "openid offline_access read", resource,
    authTime: Math.floor(Date.now() / 1000),
  });
  const access = new provider.AccessToken({ ...common, scope: "openid" });
  return { refresh: await refresh.save(), access: await access.save() };
}

const server = provider.listen(port, "127.0.0.1", async () => {
  const minted = [];
  for (let number = 0; number < count; number += 1) minted.push(await mint(number));
  console.log(JSON.stringify({
    refresh: minted.map((one) => one.refresh), access: minted.map((one) => one.access),
  }));
});
process.on("SIGTERM", () => { server.close(); server.closeAllConnections(); });
