// The result of a verification of the audit log, as text and as JSON.
import type { AuditVerification } from './audit-verification.ts';

const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export function auditVerificationJson({ begins, head, broken, prunedUpTo, ...counts }: AuditVerification) {
  return {
    ok: broken === undefined,
    ...counts,
    begins_at: time(begins),
    pruned_up_to: prunedUpTo,
    head: head && { seal: head.id, hash: head.hash, sealed_at: time(head.sealedAt) },
    broken: broken
      ? { seal: broken.seal, problem: broken.problem, after: time(broken.after), before: time(broken.before) }
      : null,
  };
}

export function auditVerificationText(result: AuditVerification): string {
  const { seals, entries, unprotected, unsealed, alarms, begins, prunedUpTo, head, broken } = result;
  const lines = [
    begins === null ? 'There are no seals yet.' : `The chain begins at ${time(begins)}.`,
    ...(prunedUpTo === null ? [] : [`Retention has deleted what was sealed up to seal ${Number(prunedUpTo)}.`]),
    `${entries} entries are proven by ${seals} seals.`,
    ...(unsealed > 0 ? [`${unsealed} entries are newer than the last seal: nothing proves them yet.`] : []),
    ...(unprotected > 0 ? [`${unprotected} entries were stored before there were seals: nothing proves them.`] : []),
    ...(alarms > 0
      ? [
          `${alarms === 1 ? 'Once' : `${alarms} times`}, a broker found seals missing: valetkey audit --action audit.seals_missing`,
        ]
      : []),
  ];
  if (broken) {
    const where = broken.seal === null ? '' : ` at seal ${Number(broken.seal) || broken.seal}`;
    const [after, before] = [time(broken.after), time(broken.before)];
    const when = [...(after ? [`after ${after}`] : []), ...(before ? [`up to ${before}`] : [])].join(' ');
    lines.push(`BROKEN${where}: ${broken.problem}${when === '' ? '' : ` (${when})`}.`);
  } else if (head) {
    lines.push(`The chain holds. Its head, sealed at ${time(head.sealedAt)}: ${Number(head.id)}:${head.hash}`);
    lines.push('Keep the head elsewhere, and pass it to the next verification with --head.');
  } else lines.push('Nothing can be verified.');
  return lines.join('\n');
}
