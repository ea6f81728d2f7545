"""The picture of one PBX: devices, channels and calls, from events or asked over AGI. Pure."""
