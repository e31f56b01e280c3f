// The Kubernetes manifests, without a cluster: consistent with each other, the Dockerfile and the broker, and without
// secrets.
import { globSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { startTestSetup } from '../support/broker-setup.ts';
import { configIssues, ROOT, read, SECRET, STOP, validSettings, version, yaml } from '../support/deploy-files.ts';
import { dockerfile } from '../support/image.ts';

interface Labels {
  [name: string]: string;
}
interface Probe {
  httpGet: { path: string; port: string };
  periodSeconds: number;
  timeoutSeconds: number;
  failureThreshold: number;
}
interface Variable {
  name: string;
  value?: string;
  valueFrom?: { configMapKeyRef?: { name: string; key: string } };
}
interface Container {
  image: string;
  ports: { name: string; containerPort: number }[];
  env: Variable[];
  envFrom: { secretRef: { name: string } }[];
  startupProbe: Probe;
  readinessProbe: Probe;
  livenessProbe: Probe;
  lifecycle: { preStop: { exec: { command: string[] } } };
  resources: { requests: Labels; limits: Labels };
  securityContext: object;
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
}
interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels: Labels };
  data?: Labels;
  stringData?: Labels;
  automountServiceAccountToken?: boolean;
  spec?: Record<string, unknown>;
}

describe('the Kubernetes manifests', () => {
  const FOLDER = 'deploy/kubernetes';
  const KINDS: Record<string, string> = {
    Deployment: 'apps/v1',
    NetworkPolicy: 'networking.k8s.io/v1',
    PodDisruptionBudget: 'policy/v1',
    Service: 'v1',
    'Service (public)': 'v1',
    ServiceAccount: 'v1',
    Secret: 'v1',
  };
  const files = globSync('*.{yaml,yaml.example}', { cwd: new URL(`${FOLDER}/`, ROOT) })
    .filter((file) => file !== 'kustomization.yaml')
    .sort();
  const kustomization = yaml<{
    kind: string;
    resources: string[];
    configMapGenerator: { name: string; envs: string[]; files: string[]; options: { labels: Labels } }[];
  }>(`${FOLDER}/kustomization.yaml`);
  const [generated] = kustomization.configMapGenerator;
  const manifests = files.map((file) => yaml<Manifest>(`${FOLDER}/${file}`));
  for (const manifest of manifests)
    if (manifest.metadata.name === 'valetkey-public') manifest.kind = 'Service (public)';
  /** What the generated ConfigMap has. */
  const data: Labels = {
    ...Object.fromEntries(
      generated!.envs.flatMap((file) => Object.entries(parseEnv(read(`${FOLDER}/${file}`)))) as [string, string][],
    ),
    ...Object.fromEntries(generated!.files.map((file) => [file, read(`${FOLDER}/${file}`)])),
  };
  const one = (kind: string): Manifest => manifests.find((manifest) => manifest.kind === kind)!;
  const deployment = one('Deployment').spec as {
    replicas: number;
    selector: { matchLabels: Labels };
    strategy: { rollingUpdate: { maxUnavailable: number } };
    template: {
      metadata: { labels: Labels; annotations: Labels };
      spec: {
        serviceAccountName: string;
        enableServiceLinks: boolean;
        automountServiceAccountToken: boolean;
        terminationGracePeriodSeconds: number;
        securityContext: object;
        topologySpreadConstraints: { labelSelector: { matchLabels: Labels } }[];
        containers: Container[];
        volumes: { name: string; configMap?: { name: string; items: { key: string; path: string }[] } }[];
      };
    };
  };
  const pod = deployment.template.spec;
  const container = pod.containers[0]!;
  const labels = deployment.template.metadata.labels;

  it('are one of each kind, with current API versions and the same name', () => {
    expect(manifests.map(({ kind }) => kind).sort()).toEqual(Object.keys(KINDS).sort());
    for (const { kind, apiVersion, metadata } of manifests) {
      expect(apiVersion, kind).toBe(KINDS[kind]);
      expect(metadata.name, kind).toBe(kind === 'Service (public)' ? 'valetkey-public' : 'valetkey');
      expect(metadata.labels, kind).toEqual(labels);
    }
  });

  it('are applied together, but for the template of the Secret; a changed ConfigMap has another name, and replaces the pods', () => {
    expect(kustomization.kind).toBe('Kustomization');
    expect(kustomization.resources).toEqual(files.filter((file) => file.endsWith('.yaml')));
    expect(generated).toMatchObject({ name: 'valetkey', options: { labels } });
    // A hash is added unless this is set, here or for all generators.
    expect(read(`${FOLDER}/kustomization.yaml`)).not.toContain('disableNameSuffixHash');
  });

  it('all select the pods', () => {
    const { selector } = one('Service').spec as { selector: Labels };
    const { selector: budget } = one('PodDisruptionBudget').spec as { selector: { matchLabels: Labels } };
    const { podSelector } = one('NetworkPolicy').spec as { podSelector: { matchLabels: Labels } };
    const selectors = {
      deployment: deployment.selector.matchLabels,
      service: selector,
      public: (one('Service (public)').spec as { selector: Labels }).selector,
      budget: budget.matchLabels,
      policy: podSelector.matchLabels,
      ...pod.topologySpreadConstraints.map(({ labelSelector }) => labelSelector.matchLabels),
    };
    for (const [name, selected] of Object.entries(selectors)) expect(selected, name).toEqual(labels);
  });

  it('run this version, as the user of the image, with minimal privileges', () => {
    expect(container.image).toBe(`valetkey:${version}`);
    const [, uid] = /^USER (\d+):/m.exec(dockerfile.slice(dockerfile.lastIndexOf('FROM')))!;
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: Number(uid),
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.resources).toMatchObject({ requests: { cpu: /./, memory: /./ }, limits: { memory: /./ } });
    expect([pod.automountServiceAccountToken, one('ServiceAccount').automountServiceAccountToken]).toEqual([
      false,
      false,
    ]);
    expect(pod.serviceAccountName).toBe(one('ServiceAccount').metadata.name);
  });

  it('have a public port for the ingress and an internal one for callers and Prometheus, as the settings have them', () => {
    const [port, internal] = container.ports;
    const targetsOf = (kind: string) =>
      (one(kind).spec as { ports: { targetPort: string }[] }).ports.map(({ targetPort }) => targetPort);
    const { ingress } = one('NetworkPolicy').spec as {
      ingress: { from: { namespaceSelector: { matchLabels: Labels } }[]; ports: { port: number }[] }[];
    };
    expect(targetsOf('Service (public)')).toEqual([port!.name]);
    expect(targetsOf('Service')).toEqual([internal!.name]);
    const admitted = ingress.flatMap(({ from, ports }) =>
      from.map(({ namespaceSelector }) => [Object.keys(namespaceSelector.matchLabels), ports.map((it) => it.port)]),
    );
    expect(admitted).toEqual([
      [['valetkey-access'], [internal!.containerPort]],
      [['valetkey-ingress'], [port!.containerPort]],
    ]);
    const settingOf = (wanted: string) => container.env.find(({ name }) => name === wanted)?.value;
    expect(settingOf('VALETKEY_PORT')).toBe(String(port!.containerPort));
    expect(settingOf('VALETKEY_INTERNAL_PORT')).toBe(String(internal!.containerPort));
    expect(deployment.template.metadata.annotations['prometheus.io/port']).toBe(String(internal!.containerPort));
    for (const { httpGet } of [container.startupProbe, container.readinessProbe, container.livenessProbe])
      expect(httpGet.port).toBe(port!.name);
    expect(pod.enableServiceLinks).toBe(false);
  });

  it('allow egress to DNS, the database and the public internet only', () => {
    interface Rule {
      to: { ipBlock?: { cidr: string; except: string[] } }[];
      ports: { port: number }[];
    }
    const { egress, policyTypes } = one('NetworkPolicy').spec as { egress: Rule[]; policyTypes: string[] };
    expect(policyTypes.sort()).toEqual(['Egress', 'Ingress']);
    expect(egress.map(({ ports }) => ports.map(({ port }) => port))).toEqual([[53, 53], [5432], [443]]);
    expect(egress.every(({ to }) => to.length > 0)).toBe(true);
    const blocks = egress.flatMap(({ to }) => to.flatMap(({ ipBlock }) => ipBlock ?? []));
    const excepted = blocks.flatMap(({ except }) => except);
    for (const range of ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', 'fc00::/7'])
      expect(excepted).toContain(range);
  });

  it('set only known settings, and all required ones', () => {
    const settingOf = ({ value, valueFrom }: Variable) => value ?? data[valueFrom!.configMapKeyRef!.key] ?? '(missing)';
    const fromMap = Object.fromEntries(container.env.map((variable) => [variable.name, settingOf(variable)]));
    for (const { valueFrom } of container.env)
      if (valueFrom) expect(valueFrom.configMapKeyRef?.name).toBe(generated!.name);
    const secret = one('Secret');
    expect(container.envFrom).toEqual([{ secretRef: { name: secret.metadata.name } }]);
    const names = Object.keys(secret.stringData!);
    const filled = Object.fromEntries(Object.entries(validSettings()).filter(([name]) => names.includes(name)));
    const env = { ...secret.stringData, ...filled, ...fromMap };
    expect(configIssues(env, data['valetkey.json'])).toEqual([]);
    expect(configIssues({ ...env, VALETKEY_KEYS: '' })).toHaveLength(1);
    expect(configIssues(env, '{"colour":"red"}')).not.toEqual([]);
  });

  it('contain no secrets; the template of the Secret is not applied with the rest', () => {
    const file = files[manifests.indexOf(one('Secret'))]!;
    expect(file).not.toMatch(/\.(ya?ml|json)$/);
    expect(Object.values(one('Secret').stringData!).join('')).toBe('');
    for (const name of [...container.env.map((it) => it.name), ...Object.keys(data)]) expect(name).not.toMatch(SECRET);
  });

  it('mount all volumes; only the data volume is writable', () => {
    const volumes = pod.volumes.map(({ name }) => name);
    expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.sort());
    const declared = pod.volumes.find(({ configMap }) => configMap)!;
    const mount = container.volumeMounts.find(({ name }) => name === declared.name)!;
    const [item] = declared.configMap!.items;
    expect(declared.configMap!.name).toBe(generated!.name);
    expect(Object.keys(data)).toContain(item!.key);
    expect(`${mount.mountPath}/${item!.path}`).toBe(data.VALETKEY_CONFIG);
    const writable = container.volumeMounts.filter(({ readOnly }) => !readOnly).map(({ mountPath }) => mountPath);
    expect(writable).toEqual([/^VOLUME (\S+)$/m.exec(dockerfile)![1]]);
  });

  it('wait long enough on stop for refreshes in flight', () => {
    const [command, seconds] = container.lifecycle.preStop.exec.command;
    expect([command, Number(seconds)]).toEqual(['sleep', STOP.preStop]);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(STOP.preStop + STOP.requests + STOP.spent);
  });

  it('keep replicas running during upgrades and node drains', () => {
    const { maxUnavailable } = one('PodDisruptionBudget').spec as { maxUnavailable: number };
    expect(deployment.replicas).toBeGreaterThan(maxUnavailable);
    expect(deployment.strategy.rollingUpdate.maxUnavailable).toBe(0);
    expect(pod.topologySpreadConstraints).toHaveLength(2);
  });

  describe("the guide to the cluster's own tokens", () => {
    const guide = read('docs/operations.md');
    const section = guide.slice(guide.indexOf("### The cluster's own tokens"), guide.indexOf('## Behind a proxy'));
    const block = (language: string) => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(section)![1]!;

    it('has an issuer that the broker accepts, reached as the same guide allows', () => {
      const env = { ...validSettings(), VALETKEY_OUTBOUND_ALLOW: 'kubernetes.default.svc.cluster.local' };
      const { POSTGRES_PASSWORD: _, ...settings } = env;
      expect(configIssues({ ...settings, VALETKEY_CONFIG: 'valetkey.json' }, block('json'))).toEqual([]);
      expect(section).toContain(`VALETKEY_OUTBOUND_ALLOW=${env.VALETKEY_OUTBOUND_ALLOW}`);
      expect(JSON.parse(block('json')).trusted_issuers[0].jwks_uri).toContain(env.VALETKEY_OUTBOUND_ALLOW);
    });

    it('mounts the CA where Node is told to look for it', () => {
      const patch = parse(block('yaml')) as {
        env: Variable[];
        volumeMounts: { name: string; mountPath: string }[];
        volumes: { name: string; configMap: { items: { path: string }[] } }[];
      };
      const [volume] = patch.volumes;
      const [mount] = patch.volumeMounts;
      expect(volume!.name).toBe(mount!.name);
      expect(`${mount!.mountPath}/${volume!.configMap.items[0]!.path}`).toBe(patch.env[0]!.value);
    });
  });

  describe('probes', () => {
    let answers: Record<string, number>;
    const probes = Object.entries({
      startup: container.startupProbe,
      readiness: container.readinessProbe,
      liveness: container.livenessProbe,
    });
    const scraped = deployment.template.metadata.annotations['prometheus.io/path']!;
    beforeAll(async () => {
      const testSetup = await startTestSetup();
      const ask = async (path: string) => [path, (await fetch(new URL(path, testSetup.broker.url))).status] as const;
      answers = Object.fromEntries(
        await Promise.all([...probes.map(([, { httpGet }]) => httpGet.path), scraped].map(ask)),
      );
      await testSetup.close();
    });

    it('use routes that need no key', () => {
      expect(answers).toEqual({ '/readyz': 200, '/healthz': 200, '/metrics': 200 });
    });

    it('a database outage blocks a start, and removes no running replica', () => {
      expect(probes.map(([name, { httpGet }]) => [name, httpGet.path])).toEqual([
        ['startup', '/readyz'],
        ['readiness', '/healthz'],
        ['liveness', '/healthz'],
      ]);
      // A busy database has five seconds to answer.
      expect(container.startupProbe.timeoutSeconds).toBeGreaterThan(5);
    });
  });
});
