"""What users do with the sets they protect: enrol, remove, calibrate, look back, and roll back."""
