"""The same questions to semsearch and to other tools: one script and one list of requirements for each, `run` for all."""
