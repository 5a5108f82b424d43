"""Validation of the verdicts: detection rates and false alarms on measurements and histories whose truth is known."""
