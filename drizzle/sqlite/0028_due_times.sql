DROP INDEX `connections_due`;--> statement-breakpoint
DROP INDEX `connections_dead`;--> statement-breakpoint
DROP INDEX `connections_ending`;--> statement-breakpoint
ALTER TABLE `leases` ADD `integration` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `leases` ADD `due_at` integer;--> statement-breakpoint
ALTER TABLE `leases` ADD `dead_at` integer;--> statement-breakpoint
ALTER TABLE `leases` ADD `ends_at` integer;--> statement-breakpoint
-- The migration holds the lock of the only writer: no connection changes between this copy and the triggers.
INSERT INTO `leases` (`connection_id`, `fence`, `integration`, `due_at`, `dead_at`, `ends_at`)
SELECT `id`, 0, `integration`,
  CASE WHEN `status` = 'active' THEN `next_refresh_at` END,
  CASE WHEN `status` = 'needs_reauth' THEN `updated_at` END,
  CASE WHEN `status` = 'active' THEN `reauth_due_at` END
FROM `connections` WHERE `status` <> 'revoked'
ON CONFLICT (`connection_id`) DO UPDATE SET `integration` = excluded.`integration`, `due_at` = excluded.`due_at`,
  `dead_at` = excluded.`dead_at`, `ends_at` = excluded.`ends_at`;--> statement-breakpoint
CREATE INDEX `leases_due` ON `leases` (`integration`,`due_at`,`connection_id`) WHERE due_at is not null;--> statement-breakpoint
CREATE INDEX `leases_dead` ON `leases` (`integration`,`dead_at`) WHERE dead_at is not null;--> statement-breakpoint
CREATE INDEX `leases_ending` ON `leases` (`ends_at`,`connection_id`) WHERE ends_at is not null;--> statement-breakpoint
CREATE TRIGGER `connections_timed_insert` AFTER INSERT ON `connections` WHEN new.`status` <> 'revoked' BEGIN
  INSERT INTO `leases` (`connection_id`, `fence`, `integration`, `due_at`, `dead_at`, `ends_at`) VALUES (
    new.`id`, 0, new.`integration`,
    CASE WHEN new.`status` = 'active' THEN new.`next_refresh_at` END,
    CASE WHEN new.`status` = 'needs_reauth' THEN new.`updated_at` END,
    CASE WHEN new.`status` = 'active' THEN new.`reauth_due_at` END
  );
END;--> statement-breakpoint
-- A commit that has set the times of the lease before writes nothing here.
CREATE TRIGGER `connections_timed_update`
AFTER UPDATE OF `integration`, `status`, `next_refresh_at`, `reauth_due_at`, `updated_at` ON `connections`
WHEN old.`integration` <> new.`integration`
  OR CASE WHEN old.`status` = 'active' THEN old.`next_refresh_at` END
    IS NOT CASE WHEN new.`status` = 'active' THEN new.`next_refresh_at` END
  OR CASE WHEN old.`status` = 'needs_reauth' THEN old.`updated_at` END
    IS NOT CASE WHEN new.`status` = 'needs_reauth' THEN new.`updated_at` END
  OR CASE WHEN old.`status` = 'active' THEN old.`reauth_due_at` END
    IS NOT CASE WHEN new.`status` = 'active' THEN new.`reauth_due_at` END
BEGIN
  UPDATE `leases` SET
    `integration` = new.`integration`,
    `due_at` = CASE WHEN new.`status` = 'active' THEN new.`next_refresh_at` END,
    `dead_at` = CASE WHEN new.`status` = 'needs_reauth' THEN new.`updated_at` END,
    `ends_at` = CASE WHEN new.`status` = 'active' THEN new.`reauth_due_at` END
  WHERE `connection_id` = new.`id` AND (
    `integration` <> new.`integration`
    OR `due_at` IS NOT CASE WHEN new.`status` = 'active' THEN new.`next_refresh_at` END
    OR `dead_at` IS NOT CASE WHEN new.`status` = 'needs_reauth' THEN new.`updated_at` END
    OR `ends_at` IS NOT CASE WHEN new.`status` = 'active' THEN new.`reauth_due_at` END
  );
END;
