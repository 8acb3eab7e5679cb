SET ROLE taskflow;
CREATE TABLE dr_heartbeat (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ts timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text NOT NULL
);
