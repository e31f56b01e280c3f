CREATE TABLE `console_sessions` (
	`id` text PRIMARY KEY NOT NULL,
	`digest` text NOT NULL,
	`issuer` text NOT NULL,
	`subject` text NOT NULL,
	`name` text,
	`role` text NOT NULL,
	`provider_session` text,
	`address` text,
	`created_at` integer NOT NULL,
	`opened_at` integer,
	`last_seen_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`mac` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `console_sessions_digest` ON `console_sessions` (`digest`);--> statement-breakpoint
CREATE INDEX `console_sessions_expiry` ON `console_sessions` (`expires_at`);--> statement-breakpoint
CREATE INDEX `console_sessions_of` ON `console_sessions` (`issuer`,`subject`);