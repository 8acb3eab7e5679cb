CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'REPLICATOR_PASSWORD';
-- What pg_rewind needs, and no more.
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO replicator;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
CREATE ROLE taskflow LOGIN PASSWORD 'TASKFLOW_PASSWORD';
SELECT slot_name FROM pg_create_physical_replication_slot('azure_san', true);
CREATE DATABASE taskflow OWNER taskflow;
