// The maintenance room: key rotation, migrating between databases, and the state for metrics and operators.
export { type AuditVerification, verifyAudit } from './audit-verification/audit-verification.ts';
export { auditVerificationJson, auditVerificationText } from './audit-verification/audit-verification-report.ts';
export { type DataMigrationProgress, type DataMigrationResult, migrateData } from './data-migration.ts';
export { createExplanations, type Explanations } from './explanations.ts';
export { type KeyRotationResult, rotateKeys, secretsToReencrypt } from './key-rotation/key-rotation.ts';
export { keyRotationJson, keyRotationText } from './key-rotation/key-rotation-report.ts';
export { type LimitsState, limitsReader, type ReadLimits } from './limits-state.ts';
export { createMetricsState } from './metrics-state.ts';
export { type BrokerStatus, type IntegrationStatus, type ReadStatus, statusReader } from './status.ts';
export { type ReadSystem, type SystemState, systemReader } from './system-state.ts';
export { readUnreadableResponse } from './unreadable-responses.ts';
