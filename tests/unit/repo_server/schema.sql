-- 0001_devices
CREATE TABLE "devices" (
   "id" TEXT PRIMARY KEY,
   "token_sha256" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "name" TEXT,
   "hostname" TEXT NOT NULL,
   "group_name" TEXT,
   "channel" TEXT NOT NULL,
   "timezone" TEXT NOT NULL,
   "timezone_override" TEXT,
   "assistant" TEXT NOT NULL,
   "agent_version" TEXT NOT NULL,
   "debian" TEXT NOT NULL,
   "architecture" TEXT NOT NULL,
   "model" TEXT,
   "hold" TEXT,
   "enrolled_with" TEXT,
   "registered_at" TEXT NOT NULL,
   "decommissioned_at" TEXT,
   "last_seen_at" TEXT,
   "boot_id" TEXT,
   "clock_synchronised" INTEGER,
   "uptime_seconds" INTEGER,
   "installed" TEXT,
   "active" TEXT,
   "idle_seconds" INTEGER,
   "gate_decision" TEXT,
   "gate_reason" TEXT,
   "gate_retry_at" TEXT,
   "update_id" TEXT,
   "update_status" TEXT
) STRICT;
CREATE TABLE "heartbeats" (
   "id" INTEGER PRIMARY KEY,
   "device_id" TEXT NOT NULL REFERENCES "devices"("id"),
   "received_at" TEXT NOT NULL,
   "sent_at" TEXT,
   "boot_id" TEXT,
   "clock_synchronised" INTEGER,
   "uptime_seconds" INTEGER,
   "agent_version" TEXT,
   "installed" TEXT,
   "active" TEXT,
   "idle_seconds" INTEGER,
   "gate_decision" TEXT,
   "gate_reason" TEXT,
   "gate_retry_at" TEXT,
   "update_id" TEXT,
   "update_status" TEXT
) STRICT;
CREATE INDEX "idx_heartbeats_device_id"
    ON "heartbeats" ("device_id");

-- 0002_updates
CREATE TABLE "updates" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT NOT NULL,
   "version" TEXT NOT NULL,
   "channel" TEXT NOT NULL,
   "urgency" TEXT NOT NULL,
   "notes" TEXT NOT NULL,
   "minimum_agent" TEXT,
   "packages" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "announced_at" TEXT NOT NULL,
   "announced_by" TEXT
) STRICT;
CREATE UNIQUE INDEX "idx_updates_name_channel_version"
    ON "updates" ("name", "channel", "version");
CREATE TABLE "device_updates" (
   "device_id" TEXT REFERENCES "devices"("id"),
   "update_id" TEXT REFERENCES "updates"("id"),
   "status" TEXT NOT NULL,
   "reason" TEXT,
   "retry_at" TEXT,
   "detail" TEXT,
   "log_tail" TEXT,
   "sequence" INTEGER NOT NULL,
   "urgency" TEXT NOT NULL,
   "granted_at" TEXT,
   "updated_at" TEXT NOT NULL,
   PRIMARY KEY ("device_id", "update_id")
) STRICT;
CREATE INDEX "idx_device_updates_update_id_status"
    ON "device_updates" ("update_id", "status");
CREATE TABLE "device_update_events" (
   "id" INTEGER PRIMARY KEY,
   "device_id" TEXT NOT NULL REFERENCES "devices"("id"),
   "update_id" TEXT NOT NULL REFERENCES "updates"("id"),
   "sequence" INTEGER,
   "status" TEXT NOT NULL,
   "verdict" TEXT NOT NULL,
   "version" TEXT,
   "reason" TEXT,
   "retry_at" TEXT,
   "detail" TEXT,
   "log_tail" TEXT,
   "at" TEXT NOT NULL,
   "received_at" TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX "idx_device_update_events_device_id_update_id_sequence"
    ON "device_update_events" ("device_id", "update_id", "sequence");
CREATE TRIGGER device_update_events_append_only BEFORE UPDATE ON device_update_events BEGIN SELECT RAISE(ABORT, 'device_update_events is append-only'); END;

-- 0003_credentials_and_audit
CREATE TABLE "api_keys" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT NOT NULL,
   "role" TEXT NOT NULL,
   "secret_sha256" TEXT NOT NULL,
   "created_at" TEXT NOT NULL,
   "revoked_at" TEXT
) STRICT;
CREATE UNIQUE INDEX "idx_api_keys_secret_sha256"
    ON "api_keys" ("secret_sha256");
CREATE TABLE "enrollment_tokens" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT NOT NULL,
   "secret_sha256" TEXT NOT NULL,
   "created_at" TEXT NOT NULL,
   "expires_at" TEXT,
   "uses_allowed" INTEGER,
   "uses" INTEGER NOT NULL,
   "revoked_at" TEXT
) STRICT;
CREATE UNIQUE INDEX "idx_enrollment_tokens_secret_sha256"
    ON "enrollment_tokens" ("secret_sha256");
CREATE TABLE "audit_log" (
   "id" INTEGER PRIMARY KEY,
   "at" TEXT NOT NULL,
   "who" TEXT NOT NULL,
   "action" TEXT NOT NULL,
   "subject" TEXT NOT NULL,
   "detail" TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;

-- 0004_reboot_required
CREATE TABLE "devices" (
   "id" TEXT PRIMARY KEY,
   "token_sha256" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "name" TEXT,
   "hostname" TEXT NOT NULL,
   "group_name" TEXT,
   "channel" TEXT NOT NULL,
   "timezone" TEXT NOT NULL,
   "timezone_override" TEXT,
   "assistant" TEXT NOT NULL,
   "agent_version" TEXT NOT NULL,
   "debian" TEXT NOT NULL,
   "architecture" TEXT NOT NULL,
   "model" TEXT,
   "hold" TEXT,
   "enrolled_with" TEXT,
   "registered_at" TEXT NOT NULL,
   "decommissioned_at" TEXT,
   "last_seen_at" TEXT,
   "boot_id" TEXT,
   "clock_synchronised" INTEGER,
   "uptime_seconds" INTEGER,
   "installed" TEXT,
   "active" TEXT,
   "idle_seconds" INTEGER,
   "gate_decision" TEXT,
   "gate_reason" TEXT,
   "gate_retry_at" TEXT,
   "update_id" TEXT,
   "update_status" TEXT
, "reboot_required" INTEGER) STRICT;
CREATE TABLE "heartbeats" (
   "id" INTEGER PRIMARY KEY,
   "device_id" TEXT NOT NULL REFERENCES "devices"("id"),
   "received_at" TEXT NOT NULL,
   "sent_at" TEXT,
   "boot_id" TEXT,
   "clock_synchronised" INTEGER,
   "uptime_seconds" INTEGER,
   "agent_version" TEXT,
   "installed" TEXT,
   "active" TEXT,
   "idle_seconds" INTEGER,
   "gate_decision" TEXT,
   "gate_reason" TEXT,
   "gate_retry_at" TEXT,
   "update_id" TEXT,
   "update_status" TEXT
, "reboot_required" INTEGER) STRICT;

-- 0005_keys_tokens_and_audit
CREATE TABLE "api_keys" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT NOT NULL,
   "role" TEXT NOT NULL,
   "secret_sha256" TEXT NOT NULL,
   "created_at" TEXT NOT NULL,
   "revoked_at" TEXT
, "expires_at" TEXT) STRICT;
CREATE TABLE "enrollment_tokens" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT NOT NULL,
   "secret_sha256" TEXT NOT NULL,
   "created_at" TEXT NOT NULL,
   "expires_at" TEXT,
   "uses_allowed" INTEGER,
   "uses" INTEGER NOT NULL,
   "revoked_at" TEXT
, "group_name" TEXT, "channel" TEXT, "approval" INTEGER, "recovery" INTEGER) STRICT;
CREATE INDEX "idx_audit_log_who_id"
    ON "audit_log" ("who", "id");
CREATE INDEX "idx_audit_log_action_id"
    ON "audit_log" ("action", "id");
CREATE INDEX "idx_audit_log_subject_id"
    ON "audit_log" ("subject", "id");

-- 0006_device_identity
CREATE TABLE "devices" (
   "id" TEXT PRIMARY KEY,
   "token_sha256" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "name" TEXT,
   "hostname" TEXT NOT NULL,
   "group_name" TEXT,
   "channel" TEXT NOT NULL,
   "timezone" TEXT NOT NULL,
   "timezone_override" TEXT,
   "assistant" TEXT NOT NULL,
   "agent_version" TEXT NOT NULL,
   "debian" TEXT NOT NULL,
   "architecture" TEXT NOT NULL,
   "model" TEXT,
   "hold" TEXT,
   "enrolled_with" TEXT,
   "registered_at" TEXT NOT NULL,
   "decommissioned_at" TEXT,
   "last_seen_at" TEXT,
   "boot_id" TEXT,
   "clock_synchronised" INTEGER,
   "uptime_seconds" INTEGER,
   "installed" TEXT,
   "active" TEXT,
   "idle_seconds" INTEGER,
   "gate_decision" TEXT,
   "gate_reason" TEXT,
   "gate_retry_at" TEXT,
   "update_id" TEXT,
   "update_status" TEXT
, "reboot_required" INTEGER, "pending_token_sha256" TEXT, "pending_since" TEXT, "pending_enrolled_with" TEXT, "next_token_sha256" TEXT, "rotation_requested_at" TEXT, "boot_overlaps" INTEGER, "cloned_suspected_at" TEXT) STRICT;
CREATE INDEX devices_pending_since ON devices (id) WHERE pending_since IS NOT NULL;
CREATE INDEX devices_cloned_suspected_at ON devices (id) WHERE cloned_suspected_at IS NOT NULL;

-- 0007_rollouts
CREATE TABLE "updates" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT NOT NULL,
   "version" TEXT NOT NULL,
   "channel" TEXT NOT NULL,
   "urgency" TEXT NOT NULL,
   "notes" TEXT NOT NULL,
   "minimum_agent" TEXT,
   "packages" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "announced_at" TEXT NOT NULL,
   "announced_by" TEXT
, "rollout" TEXT, "waves_opened" TEXT, "dwell_from" TEXT, "stopped_at" TEXT, "halt_reason" TEXT, "expedited_at" TEXT, "accepted_failures" INTEGER, "accepted_finished" INTEGER) STRICT;
CREATE TABLE "device_updates" (
   "device_id" TEXT REFERENCES "devices"("id"),
   "update_id" TEXT REFERENCES "updates"("id"),
   "status" TEXT NOT NULL,
   "reason" TEXT,
   "retry_at" TEXT,
   "detail" TEXT,
   "log_tail" TEXT,
   "sequence" INTEGER NOT NULL,
   "urgency" TEXT NOT NULL,
   "granted_at" TEXT,
   "updated_at" TEXT NOT NULL, "stuck" TEXT, "stuck_at" TEXT, "expedited_at" TEXT,
   PRIMARY KEY ("device_id", "update_id")
) STRICT;
CREATE INDEX idx_device_updates_started ON device_updates (update_id) WHERE status IN ('installing', 'activating', 'restarting', 'verifying');

-- 0009_presence_and_chained_heartbeats
-- dropped: index idx_heartbeats_device_id
CREATE TABLE "devices" (
   "id" TEXT PRIMARY KEY,
   "token_sha256" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "name" TEXT,
   "hostname" TEXT NOT NULL,
   "group_name" TEXT,
   "channel" TEXT NOT NULL,
   "timezone" TEXT NOT NULL,
   "timezone_override" TEXT,
   "assistant" TEXT NOT NULL,
   "agent_version" TEXT NOT NULL,
   "debian" TEXT NOT NULL,
   "architecture" TEXT NOT NULL,
   "model" TEXT,
   "hold" TEXT,
   "enrolled_with" TEXT,
   "registered_at" TEXT NOT NULL,
   "decommissioned_at" TEXT,
   "last_seen_at" TEXT,
   "boot_id" TEXT,
   "clock_synchronised" INTEGER,
   "uptime_seconds" INTEGER,
   "installed" TEXT,
   "active" TEXT,
   "idle_seconds" INTEGER,
   "gate_decision" TEXT,
   "gate_reason" TEXT,
   "gate_retry_at" TEXT,
   "update_id" TEXT,
   "update_status" TEXT
, "reboot_required" INTEGER, "pending_token_sha256" TEXT, "pending_since" TEXT, "pending_enrolled_with" TEXT, "next_token_sha256" TEXT, "rotation_requested_at" TEXT, "boot_overlaps" INTEGER, "cloned_suspected_at" TEXT, "last_heartbeat_id" INTEGER, "interval_seconds" INTEGER) STRICT;
CREATE TABLE presence (device_id TEXT PRIMARY KEY REFERENCES devices (id), late_at TEXT NOT NULL, lost_at TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER devices_registered AFTER INSERT ON devices WHEN NEW.state <> 'decommissioned' BEGIN INSERT INTO presence (device_id, late_at, lost_at) SELECT NEW.id, iif(NEW.last_seen_at IS NULL, NEW.registered_at, strftime('%Y-%m-%dT%H:%M:%SZ', NEW.last_seen_at, '+901 seconds')), strftime('%Y-%m-%dT%H:%M:%SZ', coalesce(NEW.last_seen_at, NEW.registered_at), '+86401 seconds'); END;
CREATE TRIGGER devices_decommissioned AFTER UPDATE OF state ON devices WHEN NEW.state = 'decommissioned' BEGIN DELETE FROM presence WHERE device_id = OLD.id; END;
CREATE TRIGGER devices_forgotten BEFORE DELETE ON devices BEGIN DELETE FROM presence WHERE device_id = OLD.id; END;
CREATE TABLE "heartbeats" (
            id INTEGER PRIMARY KEY,
            device_id TEXT NOT NULL,
            previous_id INTEGER,
            received_at TEXT NOT NULL,
            sent_at TEXT, boot_id TEXT, clock_synchronised INTEGER, uptime_seconds INTEGER, agent_version TEXT,
            installed TEXT, active TEXT, idle_seconds INTEGER, gate_decision TEXT, gate_reason TEXT, gate_retry_at TEXT,
            update_id TEXT, update_status TEXT, reboot_required INTEGER
        ) STRICT;

-- 0010_indexes_of_lists_and_counts
CREATE INDEX "idx_devices_state_id"
    ON "devices" ("state", "id");
CREATE INDEX "idx_devices_state_group_name_id"
    ON "devices" ("state", "group_name", "id");
CREATE INDEX "idx_devices_state_channel_id"
    ON "devices" ("state", "channel", "id");
CREATE INDEX "idx_devices_state_active_id"
    ON "devices" ("state", "active", "id");
CREATE INDEX "idx_devices_state_update_status_id"
    ON "devices" ("state", "update_status", "id");
CREATE INDEX "idx_devices_state_gate_decision_gate_reason"
    ON "devices" ("state", "gate_decision", "gate_reason");
CREATE INDEX "idx_device_updates_update_id_device_id"
    ON "device_updates" ("update_id", "device_id");

-- 0011_sessions
CREATE TABLE "sessions" (
   "id" TEXT PRIMARY KEY,
   "secret_sha256" TEXT NOT NULL,
   "key_id" TEXT NOT NULL REFERENCES "api_keys"("id"),
   "created_at" TEXT NOT NULL,
   "last_used_at" TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX "idx_sessions_secret_sha256"
    ON "sessions" ("secret_sha256");
CREATE INDEX "idx_sessions_key_id_last_used_at"
    ON "sessions" ("key_id", "last_used_at");

-- 0012_fleet_history_and_counts
CREATE TABLE "devices" (
   "id" TEXT PRIMARY KEY,
   "token_sha256" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "name" TEXT,
   "hostname" TEXT NOT NULL,
   "group_name" TEXT,
   "channel" TEXT NOT NULL,
   "timezone" TEXT NOT NULL,
   "timezone_override" TEXT,
   "assistant" TEXT NOT NULL,
   "agent_version" TEXT NOT NULL,
   "debian" TEXT NOT NULL,
   "architecture" TEXT NOT NULL,
   "model" TEXT,
   "hold" TEXT,
   "enrolled_with" TEXT,
   "registered_at" TEXT NOT NULL,
   "decommissioned_at" TEXT,
   "last_seen_at" TEXT,
   "boot_id" TEXT,
   "clock_synchronised" INTEGER,
   "uptime_seconds" INTEGER,
   "installed" TEXT,
   "active" TEXT,
   "idle_seconds" INTEGER,
   "gate_decision" TEXT,
   "gate_reason" TEXT,
   "gate_retry_at" TEXT,
   "update_id" TEXT,
   "update_status" TEXT
, "reboot_required" INTEGER, "pending_token_sha256" TEXT, "pending_since" TEXT, "pending_enrolled_with" TEXT, "next_token_sha256" TEXT, "rotation_requested_at" TEXT, "boot_overlaps" INTEGER, "cloned_suspected_at" TEXT, "last_heartbeat_id" INTEGER, "interval_seconds" INTEGER, reboot_required_since TEXT, clock_unsynchronised_since TEXT) STRICT;
CREATE TABLE fleet_samples (hour INTEGER PRIMARY KEY, at TEXT NOT NULL, online INTEGER NOT NULL,
        late INTEGER NOT NULL, lost INTEGER NOT NULL, pending INTEGER NOT NULL, held INTEGER NOT NULL,
        versions TEXT NOT NULL, other_versions INTEGER NOT NULL) STRICT;
CREATE TABLE update_counts (update_id TEXT NOT NULL, status TEXT NOT NULL, devices INTEGER NOT NULL,
        PRIMARY KEY (update_id, status)) STRICT, WITHOUT ROWID;
CREATE TRIGGER device_updates_added AFTER INSERT ON device_updates BEGIN
        INSERT INTO update_counts SELECT NEW.update_id, NEW.status, 0
         WHERE NOT EXISTS (SELECT 1 FROM update_counts WHERE update_id = NEW.update_id AND status = NEW.status);
        UPDATE update_counts SET devices = devices + 1 WHERE update_id = NEW.update_id AND status = NEW.status;
    END;
CREATE TRIGGER device_updates_moved AFTER UPDATE OF update_id, status ON device_updates
        WHEN (OLD.update_id, OLD.status) IS NOT (NEW.update_id, NEW.status) BEGIN
        UPDATE update_counts SET devices = devices - 1 WHERE update_id = OLD.update_id AND status = OLD.status;
        INSERT INTO update_counts SELECT NEW.update_id, NEW.status, 0
         WHERE NOT EXISTS (SELECT 1 FROM update_counts WHERE update_id = NEW.update_id AND status = NEW.status);
        UPDATE update_counts SET devices = devices + 1 WHERE update_id = NEW.update_id AND status = NEW.status;
    END;
CREATE TRIGGER device_updates_removed AFTER DELETE ON device_updates BEGIN
        UPDATE update_counts SET devices = devices - 1 WHERE update_id = OLD.update_id AND status = OLD.status;
    END;
CREATE TABLE audience_counts (assistant TEXT NOT NULL, channel TEXT NOT NULL, debian TEXT NOT NULL,
        architecture TEXT NOT NULL, devices INTEGER NOT NULL, PRIMARY KEY (assistant, channel, debian, architecture)) STRICT, WITHOUT ROWID;
CREATE TRIGGER devices_joined AFTER INSERT ON devices WHEN NEW.state = 'active' BEGIN
        INSERT INTO audience_counts SELECT NEW.assistant, NEW.channel, NEW.debian, NEW.architecture, 0
         WHERE NEW.state = 'active' AND NOT EXISTS (SELECT 1 FROM audience_counts WHERE assistant = NEW.assistant AND channel = NEW.channel AND debian = NEW.debian AND architecture = NEW.architecture);
        UPDATE audience_counts SET devices = devices + 1 WHERE assistant = NEW.assistant AND channel = NEW.channel AND debian = NEW.debian AND architecture = NEW.architecture AND NEW.state = 'active';
    END;
CREATE TRIGGER devices_moved AFTER UPDATE OF state, assistant, channel, debian, architecture ON devices WHEN (OLD.state, OLD.assistant, OLD.channel, OLD.debian, OLD.architecture) IS NOT (NEW.state, NEW.assistant, NEW.channel, NEW.debian, NEW.architecture) BEGIN
        UPDATE audience_counts SET devices = devices - 1 WHERE assistant = OLD.assistant AND channel = OLD.channel AND debian = OLD.debian AND architecture = OLD.architecture AND OLD.state = 'active';
        DELETE FROM audience_counts WHERE assistant = OLD.assistant AND channel = OLD.channel AND debian = OLD.debian AND architecture = OLD.architecture AND devices = 0;
        INSERT INTO audience_counts SELECT NEW.assistant, NEW.channel, NEW.debian, NEW.architecture, 0
         WHERE NEW.state = 'active' AND NOT EXISTS (SELECT 1 FROM audience_counts WHERE assistant = NEW.assistant AND channel = NEW.channel AND debian = NEW.debian AND architecture = NEW.architecture);
        UPDATE audience_counts SET devices = devices + 1 WHERE assistant = NEW.assistant AND channel = NEW.channel AND debian = NEW.debian AND architecture = NEW.architecture AND NEW.state = 'active';
    END;
CREATE TRIGGER devices_left AFTER DELETE ON devices WHEN OLD.state = 'active' BEGIN
        UPDATE audience_counts SET devices = devices - 1 WHERE assistant = OLD.assistant AND channel = OLD.channel AND debian = OLD.debian AND architecture = OLD.architecture AND OLD.state = 'active';
        DELETE FROM audience_counts WHERE assistant = OLD.assistant AND channel = OLD.channel AND debian = OLD.debian AND architecture = OLD.architecture AND devices = 0;
    END;
CREATE INDEX devices_reboot_required_since ON devices (reboot_required_since)
        WHERE reboot_required_since IS NOT NULL;
CREATE INDEX devices_clock_unsynchronised_since ON devices (clock_unsynchronised_since)
        WHERE clock_unsynchronised_since IS NOT NULL;
CREATE INDEX devices_held ON devices (state, id) WHERE hold IS NOT NULL;
CREATE INDEX device_updates_stuck ON device_updates (stuck, stuck_at) WHERE stuck IS NOT NULL;
CREATE INDEX device_updates_failed ON device_updates (update_id, status, updated_at)
        WHERE status IN ('failed', 'rolled_back');

-- 0013_names_of_devices
CREATE TABLE device_names (number INTEGER PRIMARY KEY, device_id TEXT NOT NULL UNIQUE REFERENCES devices (id),
        text TEXT NOT NULL) STRICT;
CREATE TRIGGER devices_named AFTER INSERT ON devices BEGIN
        INSERT INTO device_names (device_id, text)
        VALUES (NEW.id, coalesce(NEW.name, '') || char(10) || NEW.hostname); END;
CREATE TRIGGER devices_renamed AFTER UPDATE OF name, hostname ON devices
        WHEN OLD.name IS NOT NEW.name OR OLD.hostname IS NOT NEW.hostname BEGIN
        UPDATE device_names SET text = coalesce(NEW.name, '') || char(10) || NEW.hostname
        WHERE device_id = NEW.id; END;
CREATE TRIGGER devices_unnamed BEFORE DELETE ON devices BEGIN
        DELETE FROM device_names WHERE device_id = OLD.id; END;
CREATE VIRTUAL TABLE device_trigrams USING fts5 (text, content='device_names', content_rowid='number',
        tokenize='trigram');
CREATE TABLE 'device_trigrams_data'(id INTEGER PRIMARY KEY, block BLOB);
CREATE TABLE 'device_trigrams_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID;
CREATE TABLE 'device_trigrams_docsize'(id INTEGER PRIMARY KEY, sz BLOB);
CREATE TABLE 'device_trigrams_config'(k PRIMARY KEY, v) WITHOUT ROWID;
CREATE TRIGGER device_names_added AFTER INSERT ON device_names BEGIN
        INSERT INTO device_trigrams (rowid, text) VALUES (NEW.number, NEW.text); END;
CREATE TRIGGER device_names_changed AFTER UPDATE ON device_names BEGIN
        INSERT INTO device_trigrams (device_trigrams, rowid, text) VALUES ('delete', OLD.number, OLD.text);
        INSERT INTO device_trigrams (rowid, text) VALUES (NEW.number, NEW.text); END;
CREATE TRIGGER device_names_removed AFTER DELETE ON device_names BEGIN
        INSERT INTO device_trigrams (device_trigrams, rowid, text) VALUES ('delete', OLD.number, OLD.text); END;
CREATE INDEX devices_by_name ON devices (state, coalesce(name, hostname) COLLATE NOCASE, id);

-- 0014_devices_of_an_update_by_status
-- dropped: index idx_device_updates_update_id_status
CREATE INDEX "idx_device_updates_update_id_status_device_id"
    ON "device_updates" ("update_id", "status", "device_id");

