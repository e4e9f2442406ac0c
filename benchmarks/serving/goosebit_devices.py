"""Run by gooseBit's own Python: make its database, with devices that are registered."""

# mypy: ignore-errors
from __future__ import annotations

import asyncio
import sys

from goosebit.db.config import TORTOISE_CONF
from goosebit.db.models import Device, Hardware, UpdateStateEnum
from tortoise import Tortoise


async def make(count: int) -> None:
    await Tortoise.init(config=TORTOISE_CONF)
    await Tortoise.generate_schemas()
    hardware = await Hardware.create(model="default", revision="default")
    registered = UpdateStateEnum.REGISTERED
    await Device.bulk_create(
        Device(id=f"device-{number}", hardware=hardware, last_state=registered, sw_version="1.0.0")
        for number in range(count)
    )
    await Tortoise.close_connections()


asyncio.run(make(int(sys.argv[1])))
