CREATE TABLE `portal_sessions` (
	`id` text PRIMARY KEY NOT NULL,
	`secret_digest` text NOT NULL,
	`owner` text NOT NULL,
	`browser_digest` text,
	`content` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `portal_sessions_secret` ON `portal_sessions` (`secret_digest`);--> statement-breakpoint
CREATE UNIQUE INDEX `portal_sessions_browser` ON `portal_sessions` (`browser_digest`);--> statement-breakpoint
CREATE INDEX `portal_sessions_expiry` ON `portal_sessions` (`expires_at`);--> statement-breakpoint
CREATE INDEX `portal_sessions_of_owner` ON `portal_sessions` (`owner`);--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `integrations` text;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `ui_locales` text;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `display` text;--> statement-breakpoint
ALTER TABLE `integrations` ADD `theme` text;