CREATE TABLE `audit_reads` (
	`week` integer NOT NULL,
	`owner` text NOT NULL,
	`entry` text NOT NULL,
	PRIMARY KEY(`week`, `owner`, `entry`)
) WITHOUT ROWID;
