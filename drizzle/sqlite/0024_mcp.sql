CREATE TABLE `client_registrations` (
	`id` text PRIMARY KEY NOT NULL,
	`integration` text NOT NULL,
	`issuer` text NOT NULL,
	`client` text,
	`version` integer NOT NULL,
	`claimed_by` text,
	`claimed_until` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `client_registrations_of_integration` ON `client_registrations` (`integration`);--> statement-breakpoint
ALTER TABLE `connect_sessions` ADD `is_step_up` integer;--> statement-breakpoint
ALTER TABLE `flows` ADD `source` text;--> statement-breakpoint
ALTER TABLE `outbox_revocations` ADD `credentials` text;