"""What can be said of a patient: fields, instruments, outcomes."""
