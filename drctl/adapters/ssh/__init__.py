"""SSH through Fabric. The only place that imports fabric and paramiko, and only when a host is first needed."""
