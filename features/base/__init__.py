"""What everything else stands on: errors, files, the home of runs, commands."""
