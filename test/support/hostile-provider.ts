// An OpenID Provider that misbehaves on demand (oauth2-mock-server), and forged tokens.
import { Events, type MutableResponse, type MutableToken, OAuth2Server } from 'oauth2-mock-server';

export interface HostileProvider {
  issuer: string;
  server: OAuth2Server;
  /** Changes the next ID token before it is signed. */
  changeNextIdToken(change: (token: MutableToken) => void): void;
  /** Changes the next token response before it is sent. */
  changeNextTokenResponse(change: (body: Record<string, unknown>) => void): void;
  close(): Promise<void>;
}

export async function startHostileProvider(): Promise<HostileProvider> {
  const server = new OAuth2Server();
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  const { url } = server.issuer;
  if (url === undefined) throw new Error('the server has no URL');
  return {
    issuer: url,
    server,
    changeNextIdToken(change) {
      // Access tokens are signed first; this server writes `amr` into those only.
      const onSigning = (token: MutableToken) => {
        if (token.payload.amr !== undefined) return;
        server.service.off(Events.BeforeTokenSigning, onSigning);
        change(token);
      };
      server.service.on(Events.BeforeTokenSigning, onSigning);
    },
    changeNextTokenResponse(change) {
      server.service.once(Events.BeforeResponse, ({ body }: MutableResponse) => {
        if (typeof body === 'object') change(body);
      });
    },
    close: () => server.stop(),
  };
}

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
const decode = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString());

/** The same claims, with changes, under `alg: none`. */
export function withAlgNone(jwt: string, change: object = {}): string {
  const claims = decode(jwt.split('.')[1] ?? '');
  return `${encode({ alg: 'none' })}.${encode({ ...claims, ...change })}.`;
}

/** Changed claims under the old signature. */
export function withOtherClaims(jwt: string, change: object): string {
  const [header = '', claims = '', signature = ''] = jwt.split('.');
  return `${header}.${encode({ ...decode(claims), ...change })}.${signature}`;
}
