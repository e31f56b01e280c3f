ALTER TABLE `caller_keys` ADD `mac` text;--> statement-breakpoint
ALTER TABLE `callers` ADD `mac` text;--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `mac` text;--> statement-breakpoint
ALTER TABLE `integrations` ADD `mac` text;--> statement-breakpoint
ALTER TABLE `outbox_revocations` ADD `label` text;