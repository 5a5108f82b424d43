"""The one place that measures: workloads, samples, records, and the journal that survives an interruption."""
