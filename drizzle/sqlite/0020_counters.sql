CREATE TABLE `connection_counts` (
	`id` text PRIMARY KEY NOT NULL,
	`integration` text NOT NULL,
	`state` text NOT NULL,
	`count` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `hourly_counts` (
	`id` text PRIMARY KEY NOT NULL,
	`hour` integer NOT NULL,
	`integration` text NOT NULL,
	`metric` text NOT NULL,
	`outcome` text NOT NULL,
	`count` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `hourly_counts_at` ON `hourly_counts` (`hour`);--> statement-breakpoint
CREATE INDEX `hourly_counts_of_integration` ON `hourly_counts` (`integration`,`hour`);--> statement-breakpoint
-- The migration holds the lock of the only writer: no connection changes between this count and the triggers.
INSERT INTO `connection_counts` (`id`, `integration`, `state`, `count`)
SELECT `integration` || ':' || `state`, `integration`, `state`, count(*)
FROM (SELECT `integration`, CASE WHEN `status` = 'active' AND `failures` > 0 THEN 'failing' ELSE `status` END AS `state` FROM `connections`)
GROUP BY `integration`, `state`;--> statement-breakpoint
CREATE TRIGGER `connections_counted_insert` AFTER INSERT ON `connections` BEGIN
  INSERT INTO `connection_counts` (`id`, `integration`, `state`, `count`)
  VALUES (
    new.`integration` || ':' || CASE WHEN new.`status` = 'active' AND new.`failures` > 0 THEN 'failing' ELSE new.`status` END,
    new.`integration`, CASE WHEN new.`status` = 'active' AND new.`failures` > 0 THEN 'failing' ELSE new.`status` END, 1
  )
  ON CONFLICT (`id`) DO UPDATE SET `count` = `count` + 1;
END;--> statement-breakpoint
CREATE TRIGGER `connections_counted_delete` AFTER DELETE ON `connections` BEGIN
  UPDATE `connection_counts` SET `count` = `count` - 1
  WHERE `id` = old.`integration` || ':' || CASE WHEN old.`status` = 'active' AND old.`failures` > 0 THEN 'failing' ELSE old.`status` END;
END;--> statement-breakpoint
CREATE TRIGGER `connections_counted_update` AFTER UPDATE OF `integration`, `status`, `failures` ON `connections`
WHEN old.`integration` <> new.`integration`
  OR CASE WHEN old.`status` = 'active' AND old.`failures` > 0 THEN 'failing' ELSE old.`status` END
  <> CASE WHEN new.`status` = 'active' AND new.`failures` > 0 THEN 'failing' ELSE new.`status` END
BEGIN
  UPDATE `connection_counts` SET `count` = `count` - 1
  WHERE `id` = old.`integration` || ':' || CASE WHEN old.`status` = 'active' AND old.`failures` > 0 THEN 'failing' ELSE old.`status` END;
  INSERT INTO `connection_counts` (`id`, `integration`, `state`, `count`)
  VALUES (
    new.`integration` || ':' || CASE WHEN new.`status` = 'active' AND new.`failures` > 0 THEN 'failing' ELSE new.`status` END,
    new.`integration`, CASE WHEN new.`status` = 'active' AND new.`failures` > 0 THEN 'failing' ELSE new.`status` END, 1
  )
  ON CONFLICT (`id`) DO UPDATE SET `count` = `count` + 1;
END;
