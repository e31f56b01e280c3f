// What commands do with the configuration and the database of a broker, without serving.
import type { UnreadableResponseHead } from '../ports/index.ts';
import { configured } from './configured.ts';
import type { OpenSigningKeys } from './signing-keys.ts';
import type { readUnreadable } from './unreadable-responses.ts';

type Read = Awaited<ReturnType<typeof readUnreadable>>;

/** Migrates the database without serving. */
export async function migrate(): Promise<void> {
  await configured(async ({ databaseUrl }, log) => {
    const { migrateStore } = await import('../stores/open.ts');
    await migrateStore(databaseUrl);
    log.info({ event: 'migrated' }, 'database schema is up to date');
  });
}

/** Re-encrypts every secret with the first key. Prints text, or one JSON object; exit code 1 if some secrets are left. */
export async function rotate({ json }: { json: boolean }): Promise<void> {
  await configured(
    async (config, log) => {
      const { runKeyRotation } = await import('./keys.ts');
      const { keyRotationJson, keyRotationText } = await import('../broker/maintenance/index.ts');
      const done = await runKeyRotation(config, log);
      const isDone = done.remaining.length === 0 && done.inauthentic.length === 0 && done.behind === 0;
      if (!isDone || done.protection !== 'enforced') process.exitCode = 1;
      console.log(json ? JSON.stringify(keyRotationJson(done)) : keyRotationText(done));
    },
    { logTo: 2 },
  );
}

/** Lists or rotates the keys that the deployment signs with. */
export async function useSigningKeys(work: (opened: OpenSigningKeys) => Promise<void>): Promise<void> {
  await configured(async (config, log) => (await import('./signing-keys.ts')).withSigningKeys(config, log, work), {
    logTo: 2,
  });
}

/** Verifies the audit log. Prints text, or one JSON object; exit code 1 if its chain is broken. */
export async function verifyAuditLog(options: {
  json: boolean;
  expected: { id: string; hash: string } | undefined;
}): Promise<void> {
  await configured(
    async (config, log) => {
      const { runAuditVerification } = await import('./audit-verification.ts');
      const { auditVerificationJson, auditVerificationText } = await import('../broker/maintenance/index.ts');
      const verified = await runAuditVerification(config, log, options.expected);
      if (verified.broken) process.exitCode = 1;
      console.log(options.json ? JSON.stringify(auditVerificationJson(verified)) : auditVerificationText(verified));
    },
    { logTo: 2 },
  );
}

/** Lists the responses of token endpoints in which no token was found, newest first. */
export async function listUnreadableResponses(
  integration: string | undefined,
  print: (responses: AsyncIterable<UnreadableResponseHead>) => Promise<void>,
): Promise<void> {
  await configured(
    async (config, log) => {
      const { listUnreadable } = await import('./unreadable-responses.ts');
      await print(listUnreadable(config, log, integration));
    },
    { logTo: 2 },
  );
}

/** Reads one of them, with its body. Undefined: there is none. */
export async function readUnreadableResponse(id: string, print: (found: Read) => void): Promise<void> {
  await configured(
    async (config, log) => print(await (await import('./unreadable-responses.ts')).readUnreadable(config, log, id)),
    { logTo: 2 },
  );
}
