CREATE TABLE `audit_seals` (
	`id` text PRIMARY KEY NOT NULL,
	`previous` text,
	`from_position` integer NOT NULL,
	`to_position` integer NOT NULL,
	`entries` integer NOT NULL,
	`last_id` text,
	`digest` text NOT NULL,
	`sealed_at` integer NOT NULL,
	`hash` text NOT NULL,
	`sealed` text NOT NULL
);
--> statement-breakpoint
ALTER TABLE `audit` ADD `client_request_id` text;--> statement-breakpoint
ALTER TABLE `audit` ADD `trace_id` text;--> statement-breakpoint
ALTER TABLE `audit` ADD `changed` text;--> statement-breakpoint
ALTER TABLE `audit` ADD `position` integer;--> statement-breakpoint
CREATE INDEX `audit_by_position` ON `audit` (`position`);
