ALTER TABLE `connections` ADD `last_checked_at` integer;--> statement-breakpoint
ALTER TABLE `connections` ADD `last_check_error` text;