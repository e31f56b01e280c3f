DROP INDEX `connections_by_status`;--> statement-breakpoint
CREATE INDEX `connections_of_integration` ON `connections` (`integration`,`status`,`id`);--> statement-breakpoint
CREATE INDEX `connections_not_active` ON `connections` (`status`,`id`) WHERE status <> 'active';--> statement-breakpoint
CREATE INDEX `audit_of_action` ON `audit` (`action`,`id`);--> statement-breakpoint
CREATE INDEX `audit_of_integration` ON `audit` (`integration`,`id`);--> statement-breakpoint
CREATE INDEX `audit_not_ok` ON `audit` (`outcome`,`id`) WHERE outcome <> 'ok';