CREATE TABLE `candidates` (
	`session_id` text PRIMARY KEY NOT NULL,
	`received_grant` text NOT NULL,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`session_id`) REFERENCES `connect_sessions`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `finish` integer;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `display_owner` text;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `code_challenge` text;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `finish_digest` text;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `wrong_attempts` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `created_with` text;--> statement-breakpoint
CREATE INDEX `connect_sessions_of_owner` ON `connect_sessions` (`owner`,`id`);--> statement-breakpoint
CREATE INDEX `connect_sessions_of_integration` ON `connect_sessions` (`integration`,`id`);--> statement-breakpoint
CREATE INDEX `connect_sessions_open_of_owner` ON `connect_sessions` (`owner`,`integration`) WHERE status in ('pending', 'awaiting_finish');--> statement-breakpoint
CREATE INDEX `connect_sessions_open_of_integration` ON `connect_sessions` (`integration`) WHERE status in ('pending', 'awaiting_finish');--> statement-breakpoint
CREATE INDEX `connect_sessions_open_of_caller` ON `connect_sessions` (`created_by`) WHERE status in ('pending', 'awaiting_finish');--> statement-breakpoint
ALTER TABLE `integrations` ADD `require_finish` integer;