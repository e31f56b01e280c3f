CREATE TABLE `captured_values` (
	`id` text PRIMARY KEY NOT NULL,
	`connection_id` text NOT NULL,
	`integration` text NOT NULL,
	`key` text NOT NULL,
	`value` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `captured_values_by_value` ON `captured_values` (`integration`,`key`,`value`);--> statement-breakpoint
CREATE INDEX `captured_values_of_connection` ON `captured_values` (`connection_id`);--> statement-breakpoint
CREATE TABLE `deliveries` (
	`id` text PRIMARY KEY NOT NULL,
	`event_id` text NOT NULL,
	`endpoint_id` text NOT NULL,
	`connection_id` text,
	`position` integer NOT NULL,
	`status` text NOT NULL,
	`attempts` integer NOT NULL,
	`next_at` integer,
	`claimed_until` integer,
	`last_attempt_at` integer,
	`last_status` integer,
	`last_error` text,
	`last_response` text,
	`created_at` integer NOT NULL,
	`delivered_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `deliveries_of_event` ON `deliveries` (`event_id`,`endpoint_id`);--> statement-breakpoint
CREATE INDEX `deliveries_due` ON `deliveries` (`endpoint_id`,`next_at`) WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX `deliveries_of_endpoint` ON `deliveries` (`endpoint_id`,`id`);--> statement-breakpoint
CREATE INDEX `deliveries_by_status` ON `deliveries` (`status`,`id`) WHERE status <> 'delivered';--> statement-breakpoint
CREATE INDEX `deliveries_open_of_connection` ON `deliveries` (`endpoint_id`,`connection_id`,`position`) WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX `deliveries_age` ON `deliveries` (`created_at`);--> statement-breakpoint
CREATE TABLE `event_sequences` (
	`connection_id` text PRIMARY KEY NOT NULL,
	`sequence` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `events` (
	`id` text PRIMARY KEY NOT NULL,
	`position` integer NOT NULL,
	`type` text NOT NULL,
	`at` integer NOT NULL,
	`integration` text,
	`owner` text,
	`connection_id` text,
	`sequence` integer,
	`caller_id` text,
	`endpoint_id` text,
	`data` text NOT NULL,
	`body` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `events_by_position` ON `events` (`position`);--> statement-breakpoint
CREATE INDEX `events_by_type` ON `events` (`type`,`position`);--> statement-breakpoint
CREATE INDEX `events_at` ON `events` (`at`);--> statement-breakpoint
CREATE TABLE `integration_faults` (
	`integration` text PRIMARY KEY NOT NULL,
	`code` text NOT NULL,
	`since` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `reauth_notices` (
	`connection_id` text PRIMARY KEY NOT NULL,
	`stage` integer NOT NULL,
	`due_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `received_event_ids` (
	`id` text PRIMARY KEY NOT NULL,
	`at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `received_event_ids_age` ON `received_event_ids` (`at`);--> statement-breakpoint
CREATE TABLE `received_webhooks` (
	`id` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`integration` text NOT NULL,
	`status` text NOT NULL,
	`reason` text,
	`received_at` integer NOT NULL,
	`method` text NOT NULL,
	`content_type` text,
	`path` text NOT NULL,
	`headers` text NOT NULL,
	`digest` text NOT NULL,
	`size` integer NOT NULL,
	`body` text,
	`items` text NOT NULL,
	`attempts` integer NOT NULL,
	`next_at` integer,
	`processed_at` integer
);
--> statement-breakpoint
CREATE INDEX `received_webhooks_due` ON `received_webhooks` (`next_at`) WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX `received_webhooks_of_integration` ON `received_webhooks` (`integration`,`id`);--> statement-breakpoint
CREATE INDEX `received_webhooks_by_status` ON `received_webhooks` (`status`,`id`) WHERE status <> 'located';--> statement-breakpoint
CREATE INDEX `received_webhooks_age` ON `received_webhooks` (`received_at`);--> statement-breakpoint
CREATE TABLE `receiver_settings` (
	`integration` text PRIMARY KEY NOT NULL,
	`webhook` text,
	`signals` text,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `signing_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`purpose` text NOT NULL,
	`private_key` text NOT NULL,
	`public_key` text NOT NULL,
	`created_at` integer NOT NULL,
	`retired_at` integer
);
--> statement-breakpoint
CREATE TABLE `webhook_connections` (
	`id` text PRIMARY KEY NOT NULL,
	`webhook_id` text NOT NULL,
	`connection_id` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `webhook_connections_of_webhook` ON `webhook_connections` (`webhook_id`);--> statement-breakpoint
CREATE INDEX `webhook_connections_of_connection` ON `webhook_connections` (`connection_id`,`webhook_id`);--> statement-breakpoint
CREATE TABLE `webhook_endpoints` (
	`id` text PRIMARY KEY NOT NULL,
	`caller_id` text NOT NULL,
	`url` text NOT NULL,
	`types` text,
	`integrations` text,
	`owners` text,
	`ordered` integer NOT NULL,
	`headers` text,
	`description` text,
	`enabled` integer NOT NULL,
	`disabled_reason` text,
	`secret` text NOT NULL,
	`previous_secret` text,
	`previous_until` integer,
	`failing_since` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `webhook_endpoints_of_caller` ON `webhook_endpoints` (`caller_id`,`id`);--> statement-breakpoint
CREATE INDEX `connections_ending` ON `connections` (`reauth_due_at`) WHERE status = 'active' and reauth_due_at is not null;--> statement-breakpoint
-- The connections that are there are found by what was captured of them before.
INSERT INTO `captured_values` (`id`, `connection_id`, `integration`, `key`, `value`)
SELECT c.`id` || ':captured.' || v.key, c.`id`, c.`integration`, 'captured.' || v.key,
  CASE v.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(v.value AS text) END
FROM `connections` c, json_each(c.`captured`) v
WHERE c.`status` <> 'revoked' AND v.type IN ('text', 'integer', 'real', 'true', 'false') AND length(v.value) BETWEEN 1 AND 256;--> statement-breakpoint
INSERT INTO `captured_values` (`id`, `connection_id`, `integration`, `key`, `value`)
SELECT c.`id` || ':params.' || v.key, c.`id`, c.`integration`, 'params.' || v.key, v.value
FROM `connections` c, json_each(c.`params`) v
WHERE c.`status` <> 'revoked' AND v.type = 'text' AND length(v.value) BETWEEN 1 AND 256;--> statement-breakpoint
INSERT INTO `captured_values` (`id`, `connection_id`, `integration`, `key`, `value`)
SELECT c.`id` || ':account.id', c.`id`, c.`integration`, 'account.id', c.`account` ->> 'id'
FROM `connections` c
WHERE c.`status` <> 'revoked' AND length(c.`account` ->> 'id') BETWEEN 1 AND 256;--> statement-breakpoint
INSERT INTO `captured_values` (`id`, `connection_id`, `integration`, `key`, `value`)
SELECT c.`id` || ':identity.sub', c.`id`, c.`integration`, 'identity.sub', c.`identity` ->> 'subject'
FROM `connections` c
WHERE c.`status` <> 'revoked' AND length(c.`identity` ->> 'subject') BETWEEN 1 AND 256;
