"""What a study asks for, and its courses as arrays."""
