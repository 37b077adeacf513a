"""The append-only record of every read and write, sealed into a hash chain within seconds."""
