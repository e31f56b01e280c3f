// The compose file, without a container engine: consistent with the Dockerfile and the broker, and without secrets.
import { describe, expect, it } from 'vitest';
import {
  configIssues,
  PINNED,
  ROOT,
  SECRET,
  STOP,
  substituteVariables,
  validSettings,
  version,
  yaml,
} from '../support/deploy-files.ts';
import { dockerfile } from '../support/image.ts';

describe('compose.yaml', () => {
  interface Service {
    image: string;
    build?: { context: string };
    environment: Record<string, string>;
    depends_on?: Record<string, { condition: string }>;
    healthcheck: { test: string[]; interval: string; timeout: string; retries: number };
    networks: string[];
    volumes: string[];
    ports?: string[];
    read_only?: boolean;
    cap_drop?: string[];
    security_opt: string[];
    restart: string;
    stop_grace_period: string;
  }
  const compose = yaml<{
    services: Record<string, Service>;
    networks: Record<string, { internal?: boolean }>;
    volumes: Record<string, object>;
  }>('deploy/compose.yaml');
  const services = Object.entries(compose.services);
  const { valetkey, postgres } = compose.services as { valetkey: Service; postgres: Service };
  const environment = (service: Service, env: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(service.environment).map(([name, value]) => [name, substituteVariables(value, env)]),
    );

  it('pins each image; ours has the version of this broker and is built from this Dockerfile', () => {
    for (const [, { image }] of services) expect(substituteVariables(image, {})).toMatch(PINNED);
    expect(substituteVariables(valetkey.image, {})).toBe(`valetkey:${version}`);
    const byDigest = `valetkey@sha256:${'0'.repeat(64)}`;
    expect(substituteVariables(valetkey.image, { VALETKEY_IMAGE: byDigest })).toBe(byDigest);
    expect(new URL(`${valetkey.build!.context}/Dockerfile`, new URL('deploy/', ROOT)).pathname).toBe(
      new URL('Dockerfile', ROOT).pathname,
    );
  });

  it('has a health check for each service; the broker starts once the database is healthy', () => {
    for (const [name, { healthcheck, restart }] of services) {
      expect(healthcheck.test[0], name).toBe('CMD');
      expect(healthcheck.interval, name).toMatch(/^\d+s$/);
      expect(restart, name).toBe('unless-stopped');
    }
    expect(valetkey.healthcheck.test.join(' ')).toContain('http://127.0.0.1:8080/readyz');
    expect(valetkey.depends_on).toEqual({ postgres: { condition: 'service_healthy' } });
  });

  it('contains no secrets and no default ones: without them, it does not start', () => {
    for (const [name, service] of services)
      for (const [variable, value] of Object.entries(service.environment))
        if (SECRET.test(variable)) expect(value, `${name}: ${variable}`).toMatch(/\$\{\w+:(\?[^}]+|-)\}/);
    for (const missing of ['POSTGRES_PASSWORD', 'VALETKEY_KEYS', 'VALETKEY_PUBLIC_URL']) {
      const env = { ...validSettings(), [missing]: '' };
      expect(() => environment(valetkey, env), missing).toThrow(missing);
    }
    expect(() => environment(postgres, { ...validSettings(), POSTGRES_PASSWORD: '' })).toThrow('POSTGRES_PASSWORD');
  });

  it('sets only known validSettings, and all required ones', () => {
    const env = environment(valetkey, validSettings());
    expect(configIssues({ ...env, VALETKEY_HOST: '0.0.0.0' })).toEqual([]);
    expect(configIssues({ ...env, VALETKEY_HOST: '0.0.0.0', VALETKEY_PUBLIK_URL: 'x' })).toHaveLength(1);
  });

  it('uses the same user, password and database for both services', () => {
    const url = new URL(environment(valetkey, validSettings()).VALETKEY_DATABASE_URL!);
    const server = environment(postgres, validSettings());
    expect([url.protocol, url.hostname, url.port]).toEqual(['postgres:', 'postgres', '5432']);
    expect([url.username, url.password, url.pathname]).toEqual([
      server.POSTGRES_USER,
      server.POSTGRES_PASSWORD,
      `/${server.POSTGRES_DB}`,
    ]);
    expect(postgres.healthcheck.test).toEqual(expect.arrayContaining([server.POSTGRES_USER, server.POSTGRES_DB]));
  });

  it('keeps data in named volumes, and writes nowhere else', () => {
    for (const [name, { volumes, networks }] of services) {
      for (const volume of volumes) expect(Object.keys(compose.volumes), name).toContain(volume.split(':')[0]);
      for (const network of networks) expect(Object.keys(compose.networks), name).toContain(network);
    }
    expect(postgres.volumes).toEqual(['postgres:/var/lib/postgresql']);
    expect(dockerfile).toContain(`VOLUME ${valetkey.volumes[0]!.split(':')[1]}`);
    expect(valetkey).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
    for (const [name, { security_opt }] of services) expect(security_opt, name).toContain('no-new-privileges:true');
  });

  it('exposes the broker to this machine only, and the database to the broker only', () => {
    expect(valetkey.ports).toEqual(['127.0.0.1:8080:8080', '127.0.0.1:8081:8081']);
    expect(valetkey.environment.VALETKEY_INTERNAL_PORT).toBe('8081');
    expect(dockerfile).toContain('EXPOSE 8080');
    expect(postgres.ports).toBeUndefined();
    expect(postgres.networks.map((name) => compose.networks[name]?.internal)).toEqual([true]);
  });

  it('waits long enough on stop for refreshes in flight', () => {
    expect(Number.parseInt(valetkey.stop_grace_period, 10)).toBeGreaterThanOrEqual(STOP.requests + STOP.spent);
  });
});
