CREATE TABLE `consumed_flows` (
	`state_digest` text PRIMARY KEY NOT NULL,
	`session_id` text NOT NULL,
	`browser_digest` text NOT NULL,
	`consumed_at` integer NOT NULL,
	FOREIGN KEY (`session_id`) REFERENCES `connect_sessions`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `consumed_flows_of_session` ON `consumed_flows` (`session_id`);--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `page_error` text;--> statement-breakpoint
ALTER TABLE `flows` ADD `account_prompt` text;