// Which secrets the sites of a test have issued, and at which endpoint each may come back: anything else is a leak.
import type { Site, SiteRequest } from './site.ts';

/** Members of a form that are secrets, whatever their value. */
const SECRET_MEMBERS = ['code', 'code_verifier', 'refresh_token', 'client_secret', 'client_assertion', 'token'];

export interface Ledger {
  /** Watches the requests of a site. */
  watch(name: string, site: Site): void;
  /** This value may be sent where `mayHave` says so, by the name of the site. Returns the value. */
  issued(value: string, mayHave: (site: string, request: SiteRequest) => boolean): string;
  /** That endpoint takes codes and tokens. */
  endpoint(site: Site, path: string): void;
  /** Every secret at a wrong place, as text without its value. */
  leaks(): string[];
}

export function createLedger(): Ledger {
  const sites: { name: string; site: Site }[] = [];
  const secrets: { value: string; mayHave: (site: string, request: SiteRequest) => boolean }[] = [];
  const endpoints: { site: Site; path: string }[] = [];
  return {
    watch: (name, site) => void sites.push({ name, site }),
    issued(value, mayHave) {
      secrets.push({ value, mayHave });
      return value;
    },
    endpoint: (site, path) => void endpoints.push({ site, path }),
    leaks: () =>
      sites.flatMap(({ name, site }) =>
        site.received.flatMap((request) => {
          const where = `${request.method} ${name}${request.path}`;
          const all = textOf(request);
          const wrong = secrets
            .filter(({ value, mayHave }) => all.includes(value) && !mayHave(name, request))
            .map(({ value }) => `${where} has ${value.replace(/[^-]*$/, '…')}`);
          const isEndpoint = endpoints.some((one) => one.site === site && one.path === request.path);
          const members = isEndpoint ? [] : SECRET_MEMBERS.filter((member) => request.form.has(member));
          return [...wrong, ...members.map((member) => `${where} has a form with ${member}`)];
        }),
      ),
  };
}

/** Everything in a request that may hold a secret, decoded too: Basic credentials and form values. */
function textOf({ path, query, headers, body, form }: SiteRequest): string {
  const basic = /^Basic (.+)$/i.exec(headers.authorization ?? '')?.[1];
  const credentials = basic === undefined ? '' : Buffer.from(basic, 'base64').toString();
  return [path, ...query, JSON.stringify(headers), credentials, body, ...form].join('\n');
}
