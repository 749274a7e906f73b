"""Model and environment in, Chaos Toolkit experiment, load plan and undo plan out; pure."""
