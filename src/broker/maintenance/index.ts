// The maintenance room: key rotation, migrating between databases, and the state for metrics and operators.
export { type AuditVerification, verifyAudit } from './audit-verification/audit-verification.ts';
export { auditVerificationJson, auditVerificationText } from './audit-verification/audit-verification-report.ts';
export { type DataMigrationProgress, type DataMigrationResult, migrateData } from './data-migration.ts';
export { type KeyRotationResult, rotateKeys, secretsToReencrypt } from './key-rotation/key-rotation.ts';
export { keyRotationJson, keyRotationText } from './key-rotation/key-rotation-report.ts';
export { type Explanations, gatherExplanations } from './state/explanations.ts';
export { keyUsageCounter } from './state/key-usage.ts';
export { type LimitsState, limitsReader, type ReadLimits } from './state/limits-state.ts';
export { createMetricsState } from './state/metrics-state.ts';
export { type BrokerStatus, type IntegrationStatus, type ReadStatus, statusReader } from './state/status.ts';
export { type ReadSystem, type SystemState, systemReader } from './state/system-state.ts';
export { readUnreadableResponse } from './unreadable-responses.ts';
