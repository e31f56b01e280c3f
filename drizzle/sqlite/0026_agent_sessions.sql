CREATE TABLE `agent_sessions` (
	`id` text PRIMARY KEY NOT NULL,
	`digest` text NOT NULL,
	`caller_id` text NOT NULL,
	`created_with` text NOT NULL,
	`parent_id` text,
	`ancestors` text NOT NULL,
	`owner` text NOT NULL,
	`integrations` text NOT NULL,
	`actions` text NOT NULL,
	`scopes` text,
	`methods` text,
	`paths` text,
	`tools` text,
	`purpose` text NOT NULL,
	`agent` text,
	`max_uses` integer,
	`counted` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`uses` integer DEFAULT 0 NOT NULL,
	`last_used_at` integer,
	`ended_at` integer,
	`end_reason` text,
	`mac` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `agent_sessions_digest` ON `agent_sessions` (`digest`);--> statement-breakpoint
CREATE INDEX `agent_sessions_expiry` ON `agent_sessions` (`expires_at`);--> statement-breakpoint
CREATE INDEX `agent_sessions_of_owner` ON `agent_sessions` (`owner`,`id`);--> statement-breakpoint
CREATE INDEX `agent_sessions_of_caller` ON `agent_sessions` (`caller_id`,`id`);--> statement-breakpoint
CREATE INDEX `agent_sessions_live_of_caller` ON `agent_sessions` (`caller_id`,`expires_at`);--> statement-breakpoint
CREATE INDEX `agent_sessions_of_parent` ON `agent_sessions` (`parent_id`) WHERE parent_id is not null;--> statement-breakpoint
ALTER TABLE `audit` ADD `session` text;--> statement-breakpoint
ALTER TABLE `audit` ADD `agent_id` text;--> statement-breakpoint
ALTER TABLE `audit` ADD `agent_name` text;--> statement-breakpoint
ALTER TABLE `audit` ADD `purpose` text;--> statement-breakpoint
CREATE INDEX `audit_of_session` ON `audit` (`session`,`id`) WHERE session is not null;--> statement-breakpoint
ALTER TABLE `callers` ADD `max_session_ttl` integer;