"""`make powercut`: the virtual Pi's power is cut during updates, and its disk forgets what was not flushed."""
