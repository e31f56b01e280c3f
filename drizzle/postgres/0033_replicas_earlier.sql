-- For databases whose 0032 was made before it had this index.
CREATE INDEX IF NOT EXISTS "replicas_earlier" ON "replicas" USING btree ("holder") WHERE not reads_refreshes;
