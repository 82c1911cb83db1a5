// The certified OpenID provider `oidc-provider` on loopback: JWT access tokens for the resources that are asked for (RFC 8707), and keys
// that another port exchanges while it runs. Usage: provider.mjs PORT CONTROL_PORT RESOURCE
//
// PUT /keys at the control port with {"publish": [kid, ...]} publishes these keys in this order; the first that fits an algorithm signs.
import http from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, control, resource] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const issuer = `http://127.0.0.1:${port}`;
const LIFETIME_SECONDS = 600;

const kinds = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
const keys = new Map();

// A key is made when its name first comes: `RS256-1`, `RS256-2`, ...
function key(kid) {
  if (!keys.has(kid)) {
    const alg = kid.split('-')[0];
    keys.set(kid, { ...kinds[alg]().privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });
  }
  return keys.get(kid);
}

const secretClient = (id, scope) => ({
  client_id: id,
  client_secret: `${id}-secret-of-this-run-alone`,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope,
});

function provider(kids) {
  return new Provider(issuer, {
    jwks: { keys: kids.map(key) },
    cookies: { keys: ['only for this run'] },
    clients: [
      ...Object.keys(kinds).map((alg) => secretClient(`app-${alg}`, 'mcp:tools')),
      secretClient('app-poor', 'mcp:other'),
      {
        client_id: 'desktop',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: ['http://127.0.0.1/callback'],
        response_types: ['code'],
      },
    ],
    scopes: ['openid', 'offline_access', 'mcp:tools', 'mcp:other'],
    pkce: { required: () => true },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    ttl: { AccessToken: LIFETIME_SECONDS, ClientCredentials: LIFETIME_SECONDS, IdToken: LIFETIME_SECONDS },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, indicator, client) => ({
          scope: 'mcp:tools mcp:other',
          audience: indicator,
          accessTokenTTL: LIFETIME_SECONDS,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: client.clientId.startsWith('app-') && kinds[client.clientId.slice(4)] ? client.clientId.slice(4) : 'RS256' } },
        }),
      },
    },
  });
}

let answer = provider(Object.keys(kinds).map((alg) => `${alg}-1`)).callback();
http.createServer((request, response) => answer(request, response)).listen(port, '127.0.0.1');
http.createServer(async (request, response) => {
  let text = '';
  for await (const part of request) text += part;
  answer = provider(JSON.parse(text).publish).callback();
  response.end('done');
}).listen(control, '127.0.0.1');
