CREATE INDEX `audit_changes_of_connection` ON `audit` (`connection_id`,`id`) WHERE action not in ('token.read', 'proxy.called', 'connection.read');--> statement-breakpoint
CREATE INDEX `connections_failing` ON `connections` (`id`) WHERE status = 'active' and failures > 0;--> statement-breakpoint
CREATE INDEX `connections_of_label` ON `connections` (`label`,`id`) WHERE label <> '';--> statement-breakpoint
CREATE INDEX `connections_of_account_name` ON `connections` (lower(account ->> 'name'),`id`) WHERE account is not null;