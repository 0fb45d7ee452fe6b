"""What ``bench`` and ``crashtest`` need: messages, a load generator, a sink, floors, the crash harness."""
