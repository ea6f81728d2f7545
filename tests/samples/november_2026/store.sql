BEGIN TRANSACTION;
CREATE TABLE agent (
	extension VARCHAR(20) NOT NULL, 
	name TEXT NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	protected BOOLEAN NOT NULL, 
	told VARCHAR(10), 
	told_text TEXT NOT NULL, 
	CONSTRAINT pk_agent PRIMARY KEY (extension)
);
INSERT INTO "agent" VALUES('1001','Ben',0,0,NULL,'');
CREATE TABLE agent_endpoint (
	agent VARCHAR(20) NOT NULL, 
	endpoint VARCHAR(101) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_agent_endpoint PRIMARY KEY (agent, endpoint), 
	CONSTRAINT fk_agent_endpoint_agent FOREIGN KEY(agent) REFERENCES agent (extension) ON DELETE CASCADE
);
INSERT INTO "agent_endpoint" VALUES('1001','PJSIP/1001',0);
CREATE TABLE agent_group (
	agent VARCHAR(20) NOT NULL, 
	name VARCHAR(40) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_agent_group PRIMARY KEY (agent, name), 
	CONSTRAINT fk_agent_group_agent FOREIGN KEY(agent) REFERENCES agent (extension) ON DELETE CASCADE
);
INSERT INTO "agent_group" VALUES('1001','sales',0);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE audit_chain (
	node VARCHAR(64) NOT NULL, 
	seq BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	unsigned INTEGER NOT NULL, 
	since DOUBLE, 
	CONSTRAINT pk_audit_chain PRIMARY KEY (node)
);
CREATE TABLE audit_record (
	node VARCHAR(64) NOT NULL, 
	seq BIGINT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	fact VARCHAR(64) NOT NULL, 
	line TEXT NOT NULL, 
	CONSTRAINT pk_audit_record PRIMARY KEY (node, seq)
);
CREATE TABLE lock_out (
	who VARCHAR(200) NOT NULL, 
	failures INTEGER NOT NULL, 
	last DOUBLE NOT NULL, 
	until DOUBLE NOT NULL, 
	CONSTRAINT pk_lock_out PRIMARY KEY (who), 
	CONSTRAINT ck_lock_out_failures CHECK (failures >= 0)
);
CREATE TABLE lock_out_end (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DOUBLE NOT NULL, 
	"by" TEXT NOT NULL, 
	who VARCHAR(200) NOT NULL, 
	failures INTEGER NOT NULL
);
CREATE TABLE node (
	name VARCHAR(64) NOT NULL, 
	people_change INTEGER NOT NULL, lock_out_end INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_node PRIMARY KEY (name)
);
INSERT INTO "node" VALUES('vm',3,0);
CREATE TABLE people_change (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DOUBLE NOT NULL, 
	"by" TEXT NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	"key" VARCHAR(40) NOT NULL, 
	"before" TEXT, 
	"after" TEXT
);
INSERT INTO "people_change" VALUES(1,1.79609085276808190349e+09,'root','supervisor','anna',NULL,'{"endpoints": ["PJSIP/2001"], "groups": ["leads"], "name": "Anna", "pin": "set"}');
INSERT INTO "people_change" VALUES(2,1.79609085276808190349e+09,'root','agent','1001',NULL,'{"endpoints": ["PJSIP/1001"], "groups": ["sales"], "name": "Ben"}');
INSERT INTO "people_change" VALUES(3,1.79609085276808190349e+09,'root','rule','leads-on-sales',NULL,'{"name": "leads-on-sales", "allow": ["listen", "whisper", "barge"], "supervisors": ["leads"], "agents": ["sales"]}');
CREATE TABLE rule (
	name VARCHAR(40) NOT NULL, 
	position INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_rule PRIMARY KEY (name)
);
INSERT INTO "rule" VALUES('leads-on-sales',0,'{"name":"leads-on-sales","allow":["listen","whisper","barge"],"supervisors":["leads"],"agents":["sales"]}');
CREATE TABLE supervisor (
	id VARCHAR(40) NOT NULL, 
	name TEXT NOT NULL, 
	language VARCHAR(20), 
	disabled BOOLEAN NOT NULL, 
	pin TEXT, 
	pin_set DOUBLE, 
	pin_must_change BOOLEAN NOT NULL, 
	CONSTRAINT pk_supervisor PRIMARY KEY (id)
);
INSERT INTO "supervisor" VALUES('anna','Anna',NULL,0,'$argon2id$v=19$m=65536,t=3,p=4$G3Ac+ExerV7Xu/Cne+vAmA$+12GS15d+LCw9H45jv4aq1cd8lVrmR+cm9NleYU8EuE',NULL,0);
CREATE TABLE supervisor_endpoint (
	endpoint VARCHAR(101) NOT NULL, 
	supervisor VARCHAR(40) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_supervisor_endpoint PRIMARY KEY (endpoint), 
	CONSTRAINT fk_supervisor_endpoint_supervisor FOREIGN KEY(supervisor) REFERENCES supervisor (id) ON DELETE CASCADE
);
INSERT INTO "supervisor_endpoint" VALUES('PJSIP/2001','anna',0);
CREATE TABLE supervisor_group (
	supervisor VARCHAR(40) NOT NULL, 
	name VARCHAR(40) NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_supervisor_group PRIMARY KEY (supervisor, name), 
	CONSTRAINT fk_supervisor_group_supervisor FOREIGN KEY(supervisor) REFERENCES supervisor (id) ON DELETE CASCADE
);
INSERT INTO "supervisor_group" VALUES('anna','leads',0);
CREATE INDEX ix_audit_record_at ON audit_record (at);
CREATE INDEX ix_lock_out_last ON lock_out (last);
CREATE INDEX ix_supervisor_endpoint_supervisor ON supervisor_endpoint (supervisor);
CREATE TRIGGER audit_record_is_never_changed BEFORE UPDATE ON audit_record
BEGIN
    SELECT RAISE(ABORT, 'a record of the audit is never changed');
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('people_change',3);
COMMIT;
