ALTER TABLE `connect_sessions` ADD `account` text;--> statement-breakpoint
ALTER TABLE `connections` ADD `account` text;--> statement-breakpoint
CREATE INDEX `connections_of_account` ON `connections` ((account ->> 'id')) WHERE status <> 'revoked';