"""From a cohort to a registered, evidenced model."""
