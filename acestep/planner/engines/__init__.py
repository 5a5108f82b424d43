"""Engines that run the planner's model. `base.Engine` says what each of them can do."""
