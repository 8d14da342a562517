"""What each verb does: one module a verb, each with ``run(settings) -> exit code``."""
