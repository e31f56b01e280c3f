CREATE TABLE "hold_changes" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"at" bigint NOT NULL
);
--> statement-breakpoint
-- Each that is in a captured list is found, too.
INSERT INTO "captured_values" ("id", "connection_id", "integration", "key", "value")
SELECT c."id" || ':captured.' || v.key || '[' || (min(e.place) - 1) || ']', c."id", c."integration", 'captured.' || v.key, e.value #>> '{}'
FROM "connections" c, json_each(c."captured") v,
  json_array_elements(CASE json_typeof(v.value) WHEN 'array' THEN v.value ELSE '[]'::json END) WITH ORDINALITY AS e (value, place)
WHERE c."status" <> 'revoked' AND json_typeof(e.value) IN ('string', 'number', 'boolean') AND e.place <= 1000
  AND length(e.value #>> '{}') BETWEEN 1 AND 256
GROUP BY c."id", c."integration", v.key, e.value #>> '{}';
