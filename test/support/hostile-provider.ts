// An OpenID Provider that can be told to misbehave: oauth2-mock-server, and what attackers do with tokens.
import { Events, type MutableResponse, type MutableToken, OAuth2Server } from 'oauth2-mock-server';

export interface HostileProvider {
  issuer: string;
  server: OAuth2Server;
  /** Before the next ID token is signed. */
  nextToken(change: (token: MutableToken) => void): void;
  /** Before the next token answer is sent. */
  nextAnswer(change: (body: Record<string, unknown>) => void): void;
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
    nextToken(change) {
      // Access tokens are signed too, before; this server writes `amr` into those only.
      const onSigning = (token: MutableToken) => {
        if (token.payload.amr !== undefined) return;
        server.service.off(Events.BeforeTokenSigning, onSigning);
        change(token);
      };
      server.service.on(Events.BeforeTokenSigning, onSigning);
    },
    nextAnswer(change) {
      server.service.once(Events.BeforeResponse, ({ body }: MutableResponse) => {
        if (typeof body === 'object') change(body);
      });
    },
    close: () => server.stop(),
  };
}

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
const decode = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString());

/** The same claims (changed as told) under `alg: none`. */
export function unsigned(jwt: string, change: object = {}): string {
  const claims = decode(jwt.split('.')[1] ?? '');
  return `${encode({ alg: 'none' })}.${encode({ ...claims, ...change })}.`;
}

/** Other claims under the old signature. */
export function tampered(jwt: string, change: object): string {
  const [header = '', claims = '', signature = ''] = jwt.split('.');
  return `${header}.${encode({ ...decode(claims), ...change })}.${signature}`;
}
