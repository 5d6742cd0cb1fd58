"""The command line: a file per verb. Verbs parse, call and print; what they need is imported when they run."""
