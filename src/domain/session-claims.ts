// What the token of an agent session says of it: as a JWT (RFC 9068 2.2), and when it is introspected (RFC 7662 2.2).
import type { AgentSession } from './agent-session.ts';

const seconds = (ms: number): number => Math.floor(ms / 1_000);

/** `issuer`: the public URL, which an opaque token is for as well. `scope`: the integrations, as in a token exchange. */
export const sessionClaims = (session: AgentSession, issuer: string) => ({
  iss: issuer,
  aud: session.audience ?? issuer,
  sub: session.owner,
  client_id: session.callerId,
  iat: seconds(session.createdAt),
  exp: seconds(session.expiresAt),
  jti: session.id,
  scope: session.integrations.join(' '),
  act: actorOf(session),
  sid: session.id,
});

/** Who acts for the owner (RFC 8693 4.1): the agent, whose id may be one of another issuer, or else the caller itself. */
const actorOf = ({ agent, callerId }: AgentSession) => ({
  ...(agent?.issuer !== undefined && { iss: agent.issuer }),
  sub: agent?.id ?? callerId,
});
