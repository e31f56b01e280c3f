CREATE TABLE `hold_changes` (
	`connection_id` text PRIMARY KEY NOT NULL,
	`at` integer NOT NULL
);
--> statement-breakpoint
-- Each that is in a captured list is found, too.
INSERT INTO `captured_values` (`id`, `connection_id`, `integration`, `key`, `value`)
SELECT `connection_id` || ':captured.' || `name` || '[' || min(`place`) || ']', `connection_id`, `integration`, 'captured.' || `name`, `text`
FROM (
  SELECT c.`id` AS `connection_id`, c.`integration` AS `integration`, v.key AS `name`, e.key AS `place`,
    CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(e.value AS text) END AS `text`
  FROM `connections` c, json_each(c.`captured`) v, json_each(CASE v.type WHEN 'array' THEN v.value ELSE '[]' END) e
  WHERE c.`status` <> 'revoked' AND e.type IN ('text', 'integer', 'real', 'true', 'false') AND e.key < 1000
    AND length(e.value) BETWEEN 1 AND 256
)
GROUP BY `connection_id`, `integration`, `name`, `text`;
