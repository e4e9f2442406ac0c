"""The assistant's service: ``python -m sample_assistant``."""

from sample_assistant.service import main

main()
