// The Kubernetes manifests, without a cluster: consistent with each other, the Dockerfile and the broker, and without
// secrets.
import { globSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { startTestSetup } from '../support/broker-setup.ts';
import { configIssues, ROOT, SECRET, STOP, validSettings, version, yaml } from '../support/deploy-files.ts';
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
    ConfigMap: 'v1',
    Deployment: 'apps/v1',
    NetworkPolicy: 'networking.k8s.io/v1',
    PodDisruptionBudget: 'policy/v1',
    Service: 'v1',
    ServiceAccount: 'v1',
    Secret: 'v1',
  };
  const files = globSync('*.{yaml,yaml.example}', { cwd: new URL(`${FOLDER}/`, ROOT) }).sort();
  const manifests = files.map((file) => yaml<Manifest>(`${FOLDER}/${file}`));
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
      expect(metadata.name, kind).toBe('valetkey');
      expect(metadata.labels, kind).toEqual(labels);
    }
  });

  it('all select the pods', () => {
    const { selector } = one('Service').spec as { selector: Labels };
    const { selector: budget } = one('PodDisruptionBudget').spec as { selector: { matchLabels: Labels } };
    const { podSelector } = one('NetworkPolicy').spec as { podSelector: { matchLabels: Labels } };
    const selectors = {
      deployment: deployment.selector.matchLabels,
      service: selector,
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

  it('use the same port, which is the one of VALETKEY_PORT', () => {
    const [port] = container.ports;
    const { ports } = one('Service').spec as { ports: { targetPort: string }[] };
    const { ingress } = one('NetworkPolicy').spec as { ingress: { ports: { port: number }[] }[] };
    expect(ports.map(({ targetPort }) => targetPort)).toEqual([port!.name]);
    expect(ingress.flatMap((rule) => rule.ports.map((it) => it.port))).toEqual([port!.containerPort]);
    expect(container.env.find(({ name }) => name === 'VALETKEY_PORT')?.value).toBe(String(port!.containerPort));
    expect(deployment.template.metadata.annotations['prometheus.io/port']).toBe(String(port!.containerPort));
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
    const data = one('ConfigMap').data!;
    const settingOf = ({ value, valueFrom }: Variable) => value ?? data[valueFrom!.configMapKeyRef!.key] ?? '(missing)';
    const fromMap = Object.fromEntries(container.env.map((variable) => [variable.name, settingOf(variable)]));
    for (const { valueFrom } of container.env)
      if (valueFrom) expect(valueFrom.configMapKeyRef?.name).toBe(one('ConfigMap').metadata.name);
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
    for (const name of [...container.env.map((it) => it.name), ...Object.keys(one('ConfigMap').data!)])
      expect(name).not.toMatch(SECRET);
  });

  it('mount all volumes; only the data volume is writable', () => {
    const volumes = pod.volumes.map(({ name }) => name);
    expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.sort());
    const declared = pod.volumes.find(({ configMap }) => configMap)!;
    const mount = container.volumeMounts.find(({ name }) => name === declared.name)!;
    const [item] = declared.configMap!.items;
    expect(Object.keys(one('ConfigMap').data!)).toContain(item!.key);
    expect(`${mount.mountPath}/${item!.path}`).toBe(one('ConfigMap').data!.VALETKEY_CONFIG);
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
