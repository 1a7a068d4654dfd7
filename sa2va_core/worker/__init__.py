"""The background process that hosts talk to: one for each user and machine, with the engine in a child of its own."""
