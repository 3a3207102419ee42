"""Processes killed and stopped, disks full, connections lost, files damaged: the register is as before or as after."""
