"""Tasks, one module per slice. Importing a module registers its tasks (workers.runtime.task)."""
