ALTER TABLE `outbox_revocations` ADD `owner` text;--> statement-breakpoint
ALTER TABLE `outbox_revocations` ADD `account` text;--> statement-breakpoint
ALTER TABLE `outbox_revocations` ADD `claimed_until` integer;