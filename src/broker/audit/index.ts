export { type Access, type Call, createAccess, type Subject } from './access.ts';
export { type AuditBuffer, createAuditBuffer } from './audit-buffer.ts';
export { type AuditLog, createAuditLog } from './audit-log.ts';
export { startAuditRetention } from './audit-retention.ts';
