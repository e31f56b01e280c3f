CREATE TABLE `audit` (
	`id` text PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`action` text NOT NULL,
	`outcome` text NOT NULL,
	`actor` text NOT NULL,
	`key_id` text,
	`subject` text,
	`integration` text,
	`owner` text,
	`connection_id` text,
	`address` text,
	`request_id` text,
	`detail` text,
	`count` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_of_connection` ON `audit` (`connection_id`,`id`);--> statement-breakpoint
CREATE INDEX `audit_of_owner` ON `audit` (`owner`,`id`);--> statement-breakpoint
CREATE INDEX `audit_of_actor` ON `audit` (`actor`,`id`);--> statement-breakpoint
CREATE TABLE `caller_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`caller_id` text NOT NULL,
	`digest` text NOT NULL,
	`prefix` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`last_used_at` integer,
	FOREIGN KEY (`caller_id`) REFERENCES `callers`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `caller_keys_digest` ON `caller_keys` (`digest`);--> statement-breakpoint
CREATE INDEX `caller_keys_of_caller` ON `caller_keys` (`caller_id`);--> statement-breakpoint
CREATE TABLE `callers` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`grants` text NOT NULL,
	`workloads` text NOT NULL,
	`rate_limit` text,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `changes` (
	`seq` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`at` integer DEFAULT (cast(unixepoch('subsec') * 1000 as integer)) NOT NULL,
	`kind` text NOT NULL,
	`id` text,
	`generation` integer
);
--> statement-breakpoint
CREATE INDEX `changes_at` ON `changes` (`at`);--> statement-breakpoint
CREATE TABLE `connect_sessions` (
	`id` text PRIMARY KEY NOT NULL,
	`secret_digest` text NOT NULL,
	`integration` text NOT NULL,
	`owner` text NOT NULL,
	`label` text NOT NULL,
	`scopes` text,
	`params` text NOT NULL,
	`metadata` text,
	`return_url` text,
	`connection_id` text,
	`status` text NOT NULL,
	`error` text,
	`browser_digest` text,
	`created_by` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `connect_sessions_secret` ON `connect_sessions` (`secret_digest`);--> statement-breakpoint
CREATE INDEX `connect_sessions_expiry` ON `connect_sessions` (`expires_at`);--> statement-breakpoint
CREATE TABLE `connections` (
	`id` text PRIMARY KEY NOT NULL,
	`integration` text NOT NULL,
	`owner` text NOT NULL,
	`label` text NOT NULL,
	`status` text NOT NULL,
	`reason` text,
	`scopes` text NOT NULL,
	`metadata` text NOT NULL,
	`params` text NOT NULL,
	`captured` text NOT NULL,
	`identity` text,
	`token_type` text NOT NULL,
	`issued_at` integer NOT NULL,
	`expires_at` integer,
	`next_refresh_at` integer,
	`reauth_due_at` integer,
	`last_refreshed_at` integer,
	`last_refresh_error` text,
	`failures` integer NOT NULL,
	`generation` integer NOT NULL,
	`upstream_revocation` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `connections_due` ON `connections` (`integration`,`next_refresh_at`,`id`) WHERE status = 'active' and next_refresh_at is not null;--> statement-breakpoint
CREATE UNIQUE INDEX `connections_live` ON `connections` (`integration`,`owner`,`label`) WHERE status <> 'revoked';--> statement-breakpoint
CREATE INDEX `connections_of_owner_at` ON `connections` (`integration`,`owner`,`id`);--> statement-breakpoint
CREATE INDEX `connections_of_owner` ON `connections` (`owner`,`id`);--> statement-breakpoint
CREATE INDEX `connections_by_status` ON `connections` (`integration`,`status`);--> statement-breakpoint
CREATE TABLE `flows` (
	`state_digest` text PRIMARY KEY NOT NULL,
	`session_id` text NOT NULL,
	`integration` text NOT NULL,
	`browser_digest` text NOT NULL,
	`verifier` text NOT NULL,
	`nonce` text NOT NULL,
	`issuer` text,
	`redirect_uri` text NOT NULL,
	`scopes` text NOT NULL,
	`params` text NOT NULL,
	`expires_at` integer NOT NULL,
	FOREIGN KEY (`session_id`) REFERENCES `connect_sessions`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `flows_expiry` ON `flows` (`expires_at`);--> statement-breakpoint
CREATE INDEX `flows_of_session` ON `flows` (`session_id`);--> statement-breakpoint
CREATE TABLE `grants` (
	`connection_id` text PRIMARY KEY NOT NULL,
	`access_token` text,
	`refresh_token` text,
	`id_token` text,
	`credentials` text,
	FOREIGN KEY (`connection_id`) REFERENCES `connections`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `integrations` (
	`id` text PRIMARY KEY NOT NULL,
	`provider` text NOT NULL,
	`client_id` text NOT NULL,
	`client_secret` text,
	`private_key` text,
	`key_id` text,
	`certificate` text,
	`scopes` text NOT NULL,
	`params` text NOT NULL,
	`overrides` text NOT NULL,
	`return_origins` text NOT NULL,
	`version` integer NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `key_checks` (
	`kid` text PRIMARY KEY NOT NULL,
	`sealed` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `leases` (
	`connection_id` text PRIMARY KEY NOT NULL,
	`fence` integer NOT NULL,
	`holder` text,
	`attempt` text,
	`started_at` integer,
	FOREIGN KEY (`connection_id`) REFERENCES `connections`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `leases_unresolved` ON `leases` (`started_at`) WHERE attempt is not null;--> statement-breakpoint
CREATE TABLE `paces` (
	`integration` text PRIMARY KEY NOT NULL,
	`allowance` real NOT NULL,
	`filled_at` integer NOT NULL,
	`taken` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `outbox_revocations` (
	`id` text PRIMARY KEY NOT NULL,
	`connection_id` text NOT NULL,
	`integration` text NOT NULL,
	`params` text NOT NULL,
	`captured` text NOT NULL,
	`access_token` text,
	`refresh_token` text,
	`attempts` integer NOT NULL,
	`next_at` integer NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `outbox_revocations_due` ON `outbox_revocations` (`next_at`);--> statement-breakpoint
CREATE INDEX `outbox_revocations_of_connection` ON `outbox_revocations` (`connection_id`);--> statement-breakpoint
CREATE INDEX `outbox_revocations_of_integration` ON `outbox_revocations` (`integration`);