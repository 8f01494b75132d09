"""Timers, and what the platform gave up on: sweeper, deadlines, dead letters, readiness, drill, warm-up."""
