#!/bin/sh
# Drops builds that went well, and says of the others who asked.
event=$(cat)
case "$event" in
  *'"conclusion":"failure"'*) printf '%s' "$event" | sed "s/\"workflow_run_failed\"/\"asked by $SOURCE for $ORGLOOP_ROUTE\"/" ;;
  *) exit 78 ;;
esac
