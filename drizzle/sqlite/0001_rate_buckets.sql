CREATE TABLE `rate_buckets` (
	`integration` text PRIMARY KEY NOT NULL,
	`allowance` real NOT NULL,
	`filled_at` integer NOT NULL,
	`taken` integer NOT NULL
);
