CREATE TABLE `jobs` (
	`id` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`input` text NOT NULL,
	`actor` text NOT NULL,
	`caller_id` text NOT NULL,
	`status` text NOT NULL,
	`total` integer,
	`done` integer NOT NULL,
	`counts` text NOT NULL,
	`position` text,
	`attempts` integer NOT NULL,
	`last_error` text,
	`next_at` integer,
	`fence` integer NOT NULL,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`finished_at` integer,
	`mac` text
);
--> statement-breakpoint
CREATE INDEX `jobs_due` ON `jobs` (`next_at`) WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX `jobs_of_caller` ON `jobs` (`caller_id`,`id`);--> statement-breakpoint
CREATE INDEX `jobs_finished` ON `jobs` (`finished_at`) WHERE finished_at is not null;