"""Real trials that anybody can get: how their own files become cohorts."""
