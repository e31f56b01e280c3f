ALTER TABLE `integrations` ADD `rate` text;--> statement-breakpoint
ALTER TABLE `rate_buckets` ADD `blocked_until` integer;--> statement-breakpoint
CREATE INDEX `rate_buckets_blocked` ON `rate_buckets` (`blocked_until`) WHERE blocked_until is not null;