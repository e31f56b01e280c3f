// The image of a release: its base by digest, with an SBOM and provenance. The container engine is a script that records.
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { ROOT } from '../support/image.ts';

const folder = mkdtempSync(join(tmpdir(), 'valetkey-build-image-'));
afterAll(() => rmSync(folder, { recursive: true }));
for (const name of ['docker', 'npm']) {
  writeFileSync(join(folder, name), `#!/bin/sh\nprintf '%s\\n' "$@" >> ${join(folder, `${name}.args`)}\necho '{}'\n`);
  chmodSync(join(folder, name), 0o755);
}
const build = (image: string | undefined, ...args: string[]) => {
  const { NODE_IMAGE: _, ...rest } = process.env;
  const env = { ...rest, PATH: `${folder}:${process.env.PATH}`, ...(image !== undefined && { NODE_IMAGE: image }) };
  return promisify(execFile)(join(ROOT, 'deploy/build-image'), args, { env });
};

test.each([undefined, '', 'node:24-bookworm-slim', 'node@sha256:abc', `node:24 @sha256:${'0'.repeat(64)}`])(
  'build-image: refuses the base image %s, which is not named by a digest',
  async (image) => {
    await expect(build(image)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('by its digest') });
  },
);

test('build-image: builds on the digest, with an SBOM and provenance', async () => {
  const image = `node:24-bookworm-slim@sha256:${'0a'.repeat(32)}`;
  await build(image, '--tag', 'valetkey:test');
  const args = readFileSync(join(folder, 'docker.args'), 'utf8').split('\n');
  expect(args).toEqual(
    expect.arrayContaining([`NODE_IMAGE=${image}`, '--provenance=mode=max', '--sbom=true', 'valetkey:test']),
  );
  expect(readFileSync(join(folder, 'npm.args'), 'utf8')).toContain('sbom');
  for (const made of ['valetkey.sbom.cdx.json', 'valetkey.image.json']) rmSync(join(ROOT, made), { force: true });
});
